"""`lake plan` and `lake apply`: datasets as code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lake_platform.cli.asking import ask, tell_lost
from lake_platform.cli.mapping import show_registered
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.domain.mapping import summary
from lake_platform.errors import LakeError, RetryableError
from lake_platform.metastore.plan import Outcome, Plan, Step, apply_plan, make_plan
from lake_platform.metastore.views import mapped_view

app = typer.Typer()
WOULD_CHANGE = 2
_SIGN = {"register": "+", "change": "~", "retire": "-", "error": "!"}
Directory = Annotated[
    Path | None, typer.Option("--definitions", help="Directory of the definition files.")
]


Prune = Annotated[bool, typer.Option("--prune", help="Retire the datasets that no file defines.")]


@app.command("plan")
def plan(
    home: Home = None, definitions: Directory = None, prune: Prune = False, as_json: AsJson = False
) -> None:
    """What `lake apply` would do. Exit code 0: nothing, 2: something, 1: an error."""
    with open_shell(home, as_json=as_json, absent="blank", over_api=True) as shell:
        found = _plan_of(shell, definitions, prune)
        warned = {s.table: _foreseen(shell, s) for s in found.steps if s.action == "register"}
        if as_json:
            where = {"metastore": shell.metastore_place, "metastore_exists": not shell.missing}
            shell.show(where | _as_json(found, warned))
        else:
            _show(shell, found, warned)
    if found.errors:
        raise typer.Exit(1)
    if found.changes:
        raise typer.Exit(WOULD_CHANGE)


@app.command("apply")
def apply(
    home: Home = None,
    definitions: Directory = None,
    prune: Prune = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Carry out the plan, each dataset on its own. Exit code 1 if one could not be."""
    with open_shell(home, as_json=as_json, absent="make", over_api=True) as shell:
        found = _plan_of(shell, definitions, prune)
        gone = [step.table for step in found.steps if step.action == "retire"]
        if gone and not yes:
            for table in gone:
                tell_lost(shell, table)
            ask(shell, f"retire {', '.join(gone)}?")
        outcomes = []
        for outcome in apply_plan(found, shell.use_cases(), shell.actor):
            outcomes.append(outcome)
            if not as_json:
                _report(shell, outcome)
        if as_json:
            shell.show({"outcomes": [_outcome_as_json(o) for o in outcomes]})
        elif not outcomes:
            shell.say("nothing to do")
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _plan_of(shell: Shell, definitions: Path | None, prune: bool) -> Plan:
    if definitions is not None:  # functions of steps are looked for there, too
        shell.settings = shell.settings.model_copy(update={"definitions_dir": definitions})
    use_cases = shell.use_cases()
    return make_plan(
        shell.settings.definitions_dir, shell.metastore, use_cases.check, prune=prune,
        pinned=use_cases.pinned,
    )  # fmt: skip


def _foreseen(shell: Shell, step: Step) -> list[str]:
    """What the registration would warn of, from the topic as it is now. A plan is shown all the
    same when Kafka does not answer."""
    if step.dataset is None:
        return []
    try:
        return list(shell.use_cases().look(step.dataset).warnings)
    except RetryableError as error:
        return [f"the topic was not looked at: {error}"]
    except LakeError as error:
        return [f"as the topic is now this is refused: {error}"]


def _show(shell: Shell, found: Plan, warned: Mapping[str, Sequence[str]]) -> None:
    there = ": there is none yet, lake apply makes it" if shell.missing else ""
    shell.say(f"metastore {shell.metastore_place}{there}")
    for step in found.steps:
        if step.action != "none":
            shell.say(f"{_SIGN[step.action]} {step.table}  ({step.action}, {step.source})")
        if step.error:
            shell.say(f"    {step.error}")
        for difference in step.differences:
            if step.action == "change":
                shell.say(f"    - {difference.field}: {json.dumps(difference.before)}")
            shell.say(f"    + {difference.field}: {json.dumps(difference.after)}")
        for told in step.told:
            shell.say(f"    {told}")
        for warning in warned.get(step.table, ()):
            shell.say(f"    warning: {warning}")
    same = sum(step.action == "none" for step in found.steps)
    shell.say(
        f"{len(found.changes)} to change, {same} as defined, {len(found.errors)} with errors, "
        f"{len(found.only_registered)} only registered"
    )
    if found.only_registered:
        listed = ", ".join(found.only_registered)
        shell.say(f"no file defines {listed}: they go on as they are; --prune retires them")


def _report(shell: Shell, outcome: Outcome) -> None:
    if outcome.error:
        shell.say(f"! {outcome.table}: {outcome.error}")
        return
    done = {"register": "registered", "change": "changed", "retire": "retired"}[outcome.action]
    shell.say(f"{_SIGN[outcome.action]} {outcome.table} {done}")
    for warning in outcome.warnings:
        shell.say(f"    warning: {warning}")
    show_registered(shell, outcome.table, outcome.mapped, indent="    ")


def _as_json(found: Plan, warned: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "steps": [
            _step_as_json(step) | {"warnings": list(warned.get(step.table, ()))}
            for step in found.steps
        ],
        "only_registered": list(found.only_registered),
        "changes": len(found.changes),
        "errors": len(found.errors),
    }


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "table": outcome.table,
        "action": outcome.action,
        "error": outcome.error,
        "warnings": list(outcome.warnings),
        "mapping": [mapped_view(m) for m in outcome.mapped],
        "summary": summary(outcome.mapped),
    }


def _step_as_json(step: Step) -> dict[str, Any]:
    return {
        "table": step.table,
        "source": step.source,
        "action": step.action,
        "error": step.error,
        "differences": [asdict(d) for d in step.differences],
        "schema_changes": list(step.told),
    }

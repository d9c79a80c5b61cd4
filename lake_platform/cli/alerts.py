"""`lake alerts`: what fires, who was told, and whether receivers answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from lake_platform import compose
from lake_platform.alerting.deliver import BEAT, send
from lake_platform.alerting.message import Message
from lake_platform.cli.shell import AsJson, Home, open_shell, time_text
from lake_platform.domain.alerts import firing
from lake_platform.domain.telling import HeldAlert, ReceiverState, as_of
from lake_platform.errors import DeliveryError, SetupError
from lake_platform.metastore.firing import known_of

app = typer.Typer(no_args_is_help=True, help="What is wrong, and who was told of it.")
_LATE_MS = 120_000


@app.command("list")
def list_alerts(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Alerts that fire now, since when, and which receivers were told."""
    with open_shell(home, as_json=as_json) as shell:
        now = compose.clock()
        fires = firing(known_of(shell.metastore), now)
        held = as_of(shell.metastore.held_alerts(), fires, now)
        found = [a for a in held if all_ or not a.closed_at]
        states = shell.metastore.receivers()
        beat = shell.metastore.beats().get(BEAT, 0)
        names = [r.name for r in compose.build_receivers(shell.settings)]
        if as_json:
            receivers = [_receiver_view(n, states.get(n)) for n in names]
            alerts = [_view(a) for a in found]
            shell.show({"alerts": alerts, "receivers": receivers, "looked_at": beat or None})
            return
        for one in found:
            for line in _lines(one):
                shell.say(line)
        if not found:
            shell.say("no alert fires")
        for line in (*_receiver_lines(names, states), *_beat_line(beat, now)):
            shell.say(line)


@app.command("test")
def test(home: Home = None, as_json: AsJson = False) -> None:
    """Send a test message to each receiver and say what it answered; exit code 1 if one failed."""
    with open_shell(home, as_json=as_json, absent="blank") as shell:
        receivers = compose.build_receivers(shell.settings)
        if not receivers:
            raise SetupError(
                "no receiver of alerts is set; set LAKE_ALERT_WEBHOOK_URL, LAKE_ALERT_SLACK_URL, "
                "or LAKE_ALERT_EMAIL_TO with LAKE_ALERT_EMAIL_FROM and LAKE_ALERT_SMTP_HOST"
            )
        message = Message((), compose.clock())
        with ThreadPoolExecutor(len(receivers)) as pool:
            results = list(pool.map(lambda r: send(r, message), receivers))
        answers = dict(zip((r.name for r in receivers), results, strict=True))
        failed = [n for n, answer in answers.items() if isinstance(answer, DeliveryError)]
        if as_json:
            shell.show({"receivers": [
                {"receiver": n, "ok": n not in failed, "answer": _said(a)}
                for n, a in answers.items()
            ]})  # fmt: skip
        else:
            for name, answer in answers.items():
                shell.say(f"{name}: {'FAILED: ' if name in failed else ''}{_said(answer)}")
        if failed:
            raise typer.Exit(1)


def _view(one: HeldAlert) -> dict[str, Any]:
    alert = one.alert
    return {
        "alert": alert.name,
        "severity": alert.severity,
        "table": alert.table,
        "subject": alert.subject,
        "text": alert.text,
        "remedy": alert.remedy,
        "since": one.opened_at,
        "over_at": one.closed_at or None,
        "told": dict(one.told),
    }


def _receiver_view(name: str, state: ReceiverState | None) -> dict[str, Any]:
    state = state or ReceiverState(name)
    return {
        "receiver": name,
        "succeeded_at": state.succeeded_at or None,
        "failing_since": state.failing_since or None,
        "error": state.error,
    }


def _lines(one: HeldAlert) -> list[str]:
    """Whole sentences in narrow columns are hard to read."""
    alert = one.alert
    head = f"{alert.name} ({alert.severity}) since {time_text(one.opened_at)}"
    if one.closed_at:
        return [f"{head}, over {time_text(one.closed_at)}", f"    {alert.text}"]
    told = ", ".join(sorted(one.told)) or "nobody"
    return [f"{head}; told: {told}", f"    {alert.text}", f"    {alert.remedy}"]


def _receiver_lines(names: Sequence[str], states: Mapping[str, ReceiverState]) -> list[str]:
    if not names:
        return ["no receiver is set, so nobody is told: LAKE_ALERT_WEBHOOK_URL and others"]
    lines = []
    for name in names:
        state = states.get(name, ReceiverState(name))
        if state.failing_since:
            said = f"not delivered since {time_text(state.failing_since)}: {state.error}"
        elif state.succeeded_at:
            said = f"last told {time_text(state.succeeded_at)}"
        else:
            said = "nothing sent yet; try it: lake alerts test"
        lines.append(f"{name}: {said}")
    return lines


def _beat_line(beat: int, now: int) -> list[str]:
    if now - beat <= _LATE_MS:
        return []
    when = f"since {time_text(beat)}" if beat else "yet"
    return [f"the sensor `alerts` of Dagster has not looked {when}, so nobody is told: lake status"]


def _said(answer: str | DeliveryError) -> str:
    return answer.why if isinstance(answer, DeliveryError) else answer

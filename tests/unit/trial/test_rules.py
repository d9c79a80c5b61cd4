"""Rules of a dataset on the bench, and in the check of a sample."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from lake_platform.cli.try_show import show_report, show_step
from lake_platform.domain.rules import Policy, Rule
from lake_platform.trial.check import check
from lake_platform.trial.check_view import checked_view
from lake_platform.trial.records import records_in
from lake_platform.trial.report import Report
from tests.support import Lab
from tests.unit.trial.test_check import bench, live
from tests.unit.trial.test_trial import Make, _exit_code, _send, lab, make

__all__ = ["lab", "make"]
PRICE: dict[str, Any] = {"column": "price", "min": 0}
REASON = "breaks the rule price.min"


def ruled(make: Make, policy: Policy) -> Any:
    return make(rules=(Rule(**PRICE, policy=policy),), max_quarantine_ratio=1.0)


def shown(trial: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, markup=False)
    for step in trial.steps:
        show_step(console, step)
    show_report(console, Report(trial))
    return out.getvalue()


@pytest.mark.parametrize("policy", ["warn", "quarantine"])
def test_rules_of_a_step(make: Make, policy: Policy) -> None:
    trial = ruled(make, policy)
    step = _send(trial, '{"price":1}', '{"price":-1}')
    assert step.to_dict()["rules"] == [
        {
            "rule": "price.min", "policy": policy, "column": "price", "rows": 1,
            "samples": [{"partition": 0, "offset": 1, "value": "-1"}],
        }
    ]  # fmt: skip
    assert step.to_dict()["quarantined_by_reason"] == ({REASON: 1} if policy != "warn" else {})
    assert f"rule price.min ({policy}): broken by 1 rows, as -1" in shown(trial)
    [found] = [c for c in trial.checks(trial.rows()) if c.name == "rules"]
    assert (found.passed, _exit_code(trial)) == (False, 0)


def test_a_rule_that_blocks(make: Make) -> None:
    trial = ruled(make, "block")
    step = _send(trial, '{"price":-1}')
    assert (step.outcome, _exit_code(trial)) == ("waiting", 3)
    said = shown(trial)
    assert "price.min is broken by 1 rows" in said
    assert '"rule": "price.min"' in said


@pytest.mark.parametrize(
    ("policy", "verdict"), [("warn", "fits"), ("quarantine", "quarantine"), ("block", "blocked")]
)
def test_the_check_of_a_sample(lab: Lab, policy: str, verdict: str) -> None:
    live(lab, [{"id": 1, "price": 1}])
    change = {"rules": [{**PRICE, "policy": policy}]}
    lab.metastore.update("t", change, 1, "test")
    found = check("t", lab.metastore, bench(lab), records_in(b'{"id":2}\n{"id":3,"price":-2}\n'))
    told = checked_view(found)
    assert (found.verdict, [r["rule"] for r in told["rules"]]) == (verdict, ["price.min"])
    assert json.loads(json.dumps(told))
    if policy == "quarantine":
        [aside] = told["quarantined"]
        assert (aside["reason"], aside["line"]) == (REASON, 2)
    assert not lab.metastore.incidents("t")

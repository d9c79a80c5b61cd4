"""docs/operations.md has a heading for every error and every alert, and for none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from lake_platform import errors
from lake_platform.domain.alerts import SEVERITIES

_REPO = Path(__file__).parents[2]
_PAGE = (_REPO / "docs" / "operations.md").read_text()


def headings() -> list[str]:
    return re.findall(r"^### (\w+)$", _PAGE, re.MULTILINE)


def body(heading: str) -> str:
    rest = _PAGE.split(f"\n### {heading}\n", 1)[1]
    return re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0].strip()


def alerts() -> set[str]:
    [group] = yaml.safe_load((_REPO / "deploy" / "alerts.yaml").read_text())["groups"]
    return {rule["alert"] for rule in group["rules"]} | set(SEVERITIES)


def test_every_error_and_every_alert_has_its_heading() -> None:
    missing = ({*errors.__all__} | alerts()) - set(headings())
    assert missing == set(), "add `### <name>` with what happened and what to do"


def test_every_such_heading_is_of_an_error_or_an_alert_that_is_there() -> None:
    named = [h for h in headings() if h.endswith("Error") or h.startswith("Lake")]
    assert set(named) - {*errors.__all__} - alerts() == set()
    assert len(set(named)) == len(named)


def test_each_says_something() -> None:
    named = {*errors.__all__} | alerts()
    assert [h for h in headings() if h in named and len(body(h)) < 30] == []


def test_every_error_of_the_package_is_in_its_list() -> None:
    there = {
        name for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.LakeError)
    }  # fmt: skip
    assert there == {*errors.__all__}
    for module in ("config", "retry", "stop", "root"):
        text = (_REPO / "lake_platform" / "errors" / f"{module}.py").read_text()
        assert set(re.findall(r"^class (\w+Error)\b", text, re.MULTILINE)) <= there

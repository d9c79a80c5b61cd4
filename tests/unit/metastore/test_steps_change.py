"""Steps that change the columns of a table which is there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.diff import Change
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.steps_change import check_steps_change
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.plan import apply_plan, make_plan
from lake_platform.metastore.service import UseCases
from tests.support import Lab

SOURCE = Struct((Field("id", Scalar("long")), Field("v", Scalar("long"))))
GIVES = {
    "SELECT id, v FROM input": {"id": "long", "v": "long"},
    "SELECT id, CAST(v AS STRING) AS v FROM input": {"id": "long", "v": "string"},
    "SELECT id, CAST(v AS INT) AS v FROM input": {"id": "long", "v": "int"},
    "SELECT id, v, v + 1 AS w FROM input": {"id": "long", "v": "long", "w": "long"},
    "SELECT id FROM input": {"id": "long"},
}
PLAIN, TEXT, INT, MORE, LESS = GIVES


def columns(sql: str) -> Struct:
    return Struct(tuple(Field(name, Scalar(kind)) for name, kind in GIVES[sql].items()))


def engine(dataset: Dataset, _: Struct, held: Struct | None) -> Sequence[str]:
    """As Spark would answer."""
    if held is None or not dataset.transforms:
        return ()
    return check_steps_change(dataset, held, columns(dataset.transforms[-1].sql))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def use_cases(lab: Lab) -> UseCases:
    """A table that was loaded with the plain steps."""
    lab.register(source=SOURCE, transforms=(Transform(sql=PLAIN),))
    lab.metastore.add_schema_version("t", 1, SOURCE, columns(PLAIN), ["derived"])
    lab.metastore.update_progress("t", head_seq=1, applied_seq=1)
    return replace(compose.build_use_cases(lab.metastore, lab.kafka), check_source=engine)


def change(use_cases: UseCases, *sql: str, **more: Any) -> list[str]:
    told: list[str] = []
    steps = [{"sql": s} for s in sql]
    version = use_cases.store.get("t").version
    use_cases.change_dataset("t", {"transforms": steps, **more}, version, "ann", told.append)
    return told


@pytest.mark.parametrize(("sql", "kind"), [(TEXT, "string"), (INT, "int")])
def test_another_type_is_refused_with_what_can_be_done(
    use_cases: UseCases, sql: str, kind: str
) -> None:
    said = f"column v of table t is long, and these steps make it {kind}"
    with pytest.raises(InvalidFieldError, match=said) as refused:
        change(use_cases, sql)
    assert use_cases.store.get("t").version == 1
    rebuild, _, preview = (
        (refused.value.remedy or "").rstrip(")").partition(" (look at it before: ")
    )
    words = shlex.split(rebuild.partition("made anew: ")[2])
    assert words[:4] == ["lake", "rebuild", "t", "--change"]
    assert words[4].startswith("transforms=") and sql in words[4]
    assert shlex.split(preview) == ["lake", "preview", *words[2:]]


def test_new_and_gone_columns_are_told(use_cases: UseCases) -> None:
    assert change(use_cases, MORE) == ["new column w long"]
    assert change(use_cases, LESS) == [
        "column v long is no longer made by the steps: NULL in new rows"
    ]
    assert change(use_cases, PLAIN, owner="me") == []


def test_what_no_step_says_is_not_looked_at(use_cases: UseCases) -> None:
    told: list[str] = []
    use_cases.change_dataset("t", {"max_lag_seconds": 600, "owner": "x"}, 1, "ann", told.append)
    assert told == []


def test_without_steps_the_records_columns_count(lab: Lab, use_cases: UseCases) -> None:
    lab.metastore.add_schema_version(
        "t", 2, SOURCE, Struct((Field("id", Scalar("long")), Field("v", Scalar("string")))), []
    )
    with pytest.raises(InvalidFieldError, match=r"column v of table t is string.*make it long"):
        change(use_cases)


def test_before_the_first_load_there_is_no_table_to_break(lab: Lab) -> None:
    lab.register(source=SOURCE, transforms=(Transform(sql=PLAIN),))
    use_cases = replace(compose.build_use_cases(lab.metastore, lab.kafka), check_source=engine)
    assert change(use_cases, TEXT) == []


def test_undoing_the_cause_frees_a_blocked_table(lab: Lab, use_cases: UseCases) -> None:
    lenient = replace(use_cases, check_source=lambda *_: ())  # as an older release took it
    change(lenient, TEXT)
    lab.metastore.block("t", [Change("v", "type", "breaking", "long", "string")], "transforms", [])
    assert lab.metastore.get("t").status is Status.BLOCKED
    change(use_cases, PLAIN)
    assert lab.metastore.get("t").status is Status.LIVE
    assert lab.metastore.incidents("t", "OPEN") == []


def test_a_plan_says_the_same(use_cases: UseCases, tmp_path: Path) -> None:
    file = tmp_path / "defs" / "t.py"
    file.parent.mkdir()
    text = (
        "from lake_platform.domain.dataset import Dataset, Transform\n"
        "t = Dataset(topic='topic.t', table='t', transforms=(Transform(sql={sql!r}),))\n"
    )
    file.write_text(text.format(sql=TEXT))
    [step] = make_plan(file.parent, use_cases.store, use_cases.check).steps
    assert step.action == "error"
    assert "column v of table t is long, and these steps make it string" in step.error
    file.write_text(text.format(sql=MORE))
    plan = make_plan(file.parent, use_cases.store, use_cases.check)
    assert plan.steps[0].told == ("new column w long",)
    [done] = apply_plan(plan, use_cases, "ci")
    assert (done.error, done.warnings) == ("", ("new column w long",))

"""The check of a sample says what a load of it would do, and leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Status
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.transform import Transform
from lake_platform.errors import (
    DatasetNotFoundError,
    EngineUnavailableError,
    InvalidFieldError,
    SchemaBlockedError,
)
from lake_platform.trial.check import CheckBench, Checked, check
from lake_platform.trial.check_view import checked_view, said
from lake_platform.trial.records import Record, records_in
from tests.support import Lab, infer_now

RECORDS = [{"id": n, "name": "n", "o": {"q": n}, "xs": [{"v": 1}]} for n in range(5)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def bench(lab: Lab, engine: Any = None) -> CheckBench:
    store, clock = open_store("memory:///"), lambda: lab.now_ms
    return CheckBench(MemoryKafka(), store, engine, clock, lab.workers, lab.limits)


def checked(lab: Lab, *values: Any, engine: Any = None) -> Checked:
    lines = [v if isinstance(v, bytes) else json.dumps(v).encode() for v in values]
    records = (Record(number, line) for number, line in enumerate(lines, 1))
    return check("t", lab.metastore, bench(lab, engine), records)


def live(lab: Lab, values: Sequence[Any] = RECORDS, **fields: Any) -> None:
    lab.register(**fields)
    lab.send_all(values)
    infer_now(lab)
    lab.cycle()


def everything(lab: Lab) -> tuple[Any, ...]:
    """All that a load would change."""
    return (
        lab.metastore.get("t"), lab.metastore.progress("t"), lab.metastore.schema_versions("t"),
        lab.metastore.incidents("t"), lab.metastore.audit_log("t"),
        [(i.key, i.size) for i in lab.store.list("")], lab.rows(),
    )  # fmt: skip


# What a live table makes of a sample: verdict, and the changes by path.
SAMPLES: list[tuple[list[Any], str, dict[str, str]]] = [
    ([{"id": 1}, {"id": 2.0, "name": 5}], "fits", {}),
    ([{"id": 1, "o": {"new": True}}], "changes", {"o.new": "add"}),
    ([{"id": 1, "xs": [{"w": 1}]}, {"ID": 1}], "changes", {"xs[].w": "add", "ID": "alias"}),
    ([{"id": 1, "a": 1}, {"id": 1, "a": "x"}], "changes", {"a": "add"}),
    ([{"id": "x"}], "blocked", {"id": "type"}),
    ([{"id": 1, "xs": [{"v": {}}]}], "blocked", {"xs[].v": "type"}),
    ([{"id": 1, "xs": 5}], "blocked", {"xs[]": "type"}),
    ([*RECORDS, *RECORDS, b"{"], "fits", {}),
    ([{"id": 1}, b"{"], "quarantine", {}),
]


@pytest.mark.parametrize(("values", "verdict", "changes"), SAMPLES, ids=range(len(SAMPLES)))
def test_the_verdict_is_that_of_a_load(
    lab: Lab, values: list[Any], verdict: str, changes: dict[str, str]
) -> None:
    live(lab)
    before = everything(lab)
    found = checked(lab, *values)
    assert (found.verdict, {c.path: c.kind for c, _ in found.changes}) == (verdict, changes)
    assert all(s.count and s.line and s.text for _, s in found.changes)
    assert found.exit_code == (0 if verdict in ("fits", "changes") else 3)
    assert everything(lab) == before
    # Two bad records stop no batch; what a sample has too many of would.
    lab.send_all(values)
    lab.dump()
    if verdict == "blocked":
        with pytest.raises(SchemaBlockedError) as stopped:
            lab.load()
        assert stopped.value.changes == [str(c) for c, _ in found.changes]
    else:
        [result] = lab.load()
        assert {c.path: c for c in result.changes} == {c.path: c for c, _ in found.changes}
        assert found.after and found.after.version == result.schema_version


def test_changes_are_counted_with_the_first_line_that_shows_them(lab: Lab) -> None:
    live(lab)
    odd, worse = {"id": 1, "o": {"q": "x"}, "@b": 1}, {"id": 2, "o": {"q": []}, "name": {"a": 1}}
    found = {c.path: s for c, s in checked(lab, {"id": 0}, odd, worse, odd).changes}
    assert (found["o.q"].count, found["o.q"].line) == (3, 2)
    assert (found["name"].count, found["name"].line) == (1, 3)
    assert json.loads(found["name"].text) == worse


def test_a_new_column_is_counted_under_its_name(lab: Lab) -> None:
    live(lab)
    values = [{"id": 1, "@b": 1}, {"id": 1}, {"id": 2, "@b": 2}]
    [(change, shown)] = checked(lab, *values).changes
    assert (change.path, shown.count, shown.line) == ("at_b", 2, 1)


def test_a_table_in_which_values_are_rescued(lab: Lab) -> None:
    live(lab, on_conflict="rescue")
    good = [{"id": n, "o": {"q": 1}} for n in range(40)]
    found = checked(lab, *good, {"id": 1, "o": {"q": "x"}})
    assert (found.verdict, found.exit_code) == ("changes", 0)  # _rescued comes
    [(path, shown)] = found.rescued
    assert (path, shown.count, shown.line, shown.text) == ("o.q", 1, 41, '"x"')
    found = checked(lab, {"id": 1, "o": {"q": "x"}})
    assert (found.verdict, found.exit_code) == ("rescue", 3)
    assert "max_rescued_ratio=0.05" in said(found)


def test_a_table_that_puts_conflicts_aside(lab: Lab) -> None:
    live(lab, on_conflict="quarantine")
    good = [{"id": n} for n in range(20)]
    found = checked(lab, *good, {"id": 1, "name": {}, "o": 5}, b"nope")
    assert (found.verdict, found.bad) == ("fits", 2)
    shown = {reason: (s.count, s.line, s.text) for reason, s in found.quarantined}
    assert shown == {
        "a value is of another type than its column": (1, 21, '{"id": 1, "name": {}, "o": 5}'),
        "not one valid JSON document": (1, 22, "nope"),
    }
    assert "2 of 22 records go to quarantine" in said(found)


def test_first_sight_gives_the_mapping(lab: Lab) -> None:
    lab.register()
    found = checked(lab, {"@id": 1, "n": None}, {"@id": 2, "x": 1})
    assert (found.verdict, found.before, found.changes) == ("fits", None, [])
    assert {m.column for m in found.mapped if m.rules} == {"at_id", ""}
    assert found.after and [f.name for f in found.after.source.fields] == ["at_id", "x"]
    assert lab.metastore.active_schema("t") is None


def test_before_the_first_load_all_that_comes_fits(lab: Lab) -> None:
    lab.register()
    lab.send_all(RECORDS)
    infer_now(lab)
    found = checked(lab, {"id": "x", "o": 5})
    assert found.verdict == "changes"
    assert found.after and str(found.after.source.fields[0].type) == "string"


def test_a_blocked_or_paused_table_still_has_a_verdict(lab: Lab) -> None:
    live(lab)
    for status in (Status.BLOCKED, Status.PAUSED):
        lab.metastore.set_status("t", status)
        assert checked(lab, {"id": 1}).verdict == "fits"
        assert lab.metastore.get("t").status == status


def test_a_key_that_is_missing(lab: Lab) -> None:
    live(lab, mode="upsert", primary_key=("id",))
    found = checked(lab, {"name": "x"}, *RECORDS)
    assert [(r, s.line) for r, s in found.quarantined] == [("primary key is null or missing", 1)]


def test_steps_without_an_engine_are_not_looked_at(lab: Lab) -> None:
    lab.register(
        transforms=(Transform(sql="SELECT id FROM input"),),
        source=Struct((Field("id", Scalar("long")),)),
    )
    found = checked(lab, {"id": 1})
    assert (found.verdict, found.steps) == ("fits", "there is no Spark here")

    class Gone:
        def unused(self, *_: object) -> frozenset[tuple[str, ...]]:
            return frozenset()

        def derive(self, *_: object) -> Struct:
            raise EngineUnavailableError("no java")

    found = checked(lab, {"id": 1}, engine=lambda _: Gone())
    assert (found.verdict, found.steps) == ("fits", "no java")
    assert checked_view(found)["steps_not_looked_at"] == "no java"


def test_rules_in_sql_without_an_engine_are_not_looked_at(lab: Lab) -> None:
    live(lab)
    change = {"rules": [{"sql": "id > 0", "name": "positive"}]}
    lab.metastore.update("t", change, lab.metastore.get("t").version, "test")
    assert checked(lab, {"id": -1}).steps == "there is no Spark here"


def test_what_cannot_be_checked(lab: Lab) -> None:
    with pytest.raises(DatasetNotFoundError):
        checked(lab, {"id": 1})
    lab.register(mode="upsert", primary_key=("id",))
    with pytest.raises(InvalidFieldError, match="holds no record"):
        checked(lab)
    with pytest.raises(InvalidFieldError, match="primary_key='id'"):
        checked(lab, {"other": 1})


def test_lines_of_a_text(lab: Lab) -> None:
    live(lab)
    text = b'\xef\xbb\xbf{"id":1}\r\n\n{"id":1,"b":1.10}\n'
    found = check("t", lab.metastore, bench(lab), records_in(text))
    assert found.records == 2
    assert [(c.path, s.line, s.text) for c, s in found.changes] == [("b", 3, '{"id":1,"b":1.10}')]

"""A preview holds a change against what is there, and leaves no trace: on the engine in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from lake_platform import compose
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import (
    DatasetNotFoundError,
    IncidentNotFoundError,
    InvalidFieldError,
    RawExpiredError,
    SchemaBlockedError,
)
from lake_platform.raw import log as raw_log
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.trial.preview import PreviewBench, Previewed, Question, preview
from lake_platform.trial.preview_view import preview_view
from tests.support import HOUR_MS, Lab, infer_now


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def look(lab: Lab, table: str = "t", **question: Any) -> Previewed:
    """The answer, and that nothing outside of it is another than before."""
    once = open_store("memory:///")
    engine = MemoryEngine(once)
    bench = PreviewBench(
        use_cases=compose.build_use_cases(lab.metastore, lab.kafka, store=lambda: lab.store),
        kafka=lab.kafka, real=lab.store, once=once, engine=lambda _: engine,
        rows=lambda dataset, _: _in_order(engine, dataset),
        clock=lambda: lab.now_ms, workers=lab.workers, limits=lab.limits,
    )  # fmt: skip
    before = everything(lab)
    try:
        found = preview(table, Question(**question), bench)
    finally:
        assert everything(lab) == before
    json.dumps(preview_view(found))
    return found


def _in_order(engine: MemoryEngine, dataset: Dataset) -> list[dict[str, Any]]:
    return sorted(engine.rows(dataset), key=lambda r: (r["_kafka_partition"], r["_kafka_offset"]))


def everything(lab: Lab) -> tuple[Any, ...]:
    """Each byte of the storage, and each row of the metastore."""
    objects = {i.key: (lab.store.get(i.key), i.modified_at) for i in lab.store.list("")}
    database = create_engine(f"sqlite:///{lab.home / 'metastore.db'}")
    with database.connect() as connection:
        rows = {
            name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"'))))
            for name in inspect(database).get_table_names()
        }
    database.dispose()
    return objects, rows


def loaded(lab: Lab, *values: Any, **options: Any) -> None:
    lab.register(**options)
    lab.send_all(values)
    infer_now(lab)
    lab.cycle()
    lab.metastore.set_status("t", Status.LIVE)


def blocked(lab: Lab, **options: Any) -> int:
    loaded(lab, {"id": 1, "n": 5}, {"id": 2, "n": 6}, **options)
    lab.send_all([{"id": 3, "n": "many"}, {"id": 4, "n": 7}])
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    [incident] = lab.metastore.incidents("t", "OPEN")
    return incident.id


UPSERT = {"mode": "upsert", "primary_key": ("id",)}


@pytest.mark.parametrize("options", [{}, UPSERT, {"format": "parquet"}])
def test_a_hint_shows_columns_and_rows(lab: Lab, options: dict[str, Any]) -> None:
    loaded(lab, {"id": 1, "n": 5}, {"id": 2, "n": 6}, **options)
    found = look(lab, changes={"columns.n": {"type": "string"}})
    assert [astuple(c) for c in found.columns] == [("n", "long", "string")]
    assert found.rows.counts == {"updated": 2}
    [one, _] = found.rows.shown
    assert (one.before, one.after) == ({"id": 1, "n": 5}, {"id": 1, "n": "5"})
    assert one.differing == ["n"]
    assert (found.before.balance.written, found.after.balance.written) == (2, 2)
    assert found.after.files == 1
    assert found.command == """lake rebuild t --change 'columns.n={"type": "string"}'"""


def test_another_key_shows_what_goes(lab: Lab) -> None:
    loaded(lab, {"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 1, "v": "c"}, {"v": "d"})
    found = look(lab, changes={"mode": "upsert", "primary_key": ["id"]})
    assert found.rows.counts == {"deleted": 2, "same": 2}
    assert found.after.balance.deduplicated == 1
    assert {r: (e.count, e.offset) for r, e in found.after.quarantined.items()} == {
        "primary key is null or missing": (1, 3)
    }
    assert found.rows.by == ("_kafka_partition", "_kafka_offset")


def test_an_upsert_table_is_matched_by_its_key(lab: Lab) -> None:
    loaded(lab, {"id": 1, "at": 5, "v": "new"}, {"id": 1, "at": 4, "v": "late"}, **UPSERT)
    found = look(lab, changes={"ordering_field": "at"})
    [one] = found.rows.shown
    assert (found.rows.by, one.at, one.kind) == (("id",), {"id": 1}, "updated")
    assert (one.before, one.after) == (
        {"id": 1, "at": 4, "v": "late"},
        {"id": 1, "at": 5, "v": "new"},
    )


def test_only_the_newest_windows_are_looked_at(lab: Lab) -> None:
    lab.register()
    for hour in range(4):
        lab.send({"id": hour, "n": hour}, at_ms=lab.now_ms - (4 - hour) * HOUR_MS)
    lab.cycle()
    found = look(lab, changes={"columns.n": {"type": "string"}}, windows=2)
    assert len(found.chosen.windows) == 2
    assert [p.at["_kafka_offset"] for p in found.rows.shown] == [2, 3]
    assert "older windows" in found.warnings[-1]


def test_the_records_of_a_blocked_table_are_looked_at_too(lab: Lab) -> None:
    blocked(lab)
    found = look(lab, changes={"columns.n": {"type": "json"}})
    assert found.before.stops.startswith("BLOCKED: column n: long became string")
    assert found.after.stops == ""
    assert found.rows.counts == {"updated": 2, "inserted": 2}
    # As the rebuild makes it.
    rebuilder = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    rebuilder.begin("t", {"columns.n": {"type": "json"}}, "ops")
    list(rebuilder.build("t"))
    rebuilder.swap("t")
    after = [{"id": p.after["id"], "n": p.after["n"]} for p in found.rows.shown if p.after]
    assert sorted(after, key=lambda r: r["id"]) == lab.plain_rows()


@pytest.mark.parametrize(
    ("resolution", "written", "inserted"),
    [("rescue", 4, 2), ("quarantine", 3, 1), ("reject", 3, 1), ("drop_column", 4, 2),
     ("text", 4, 2), ("json", 4, 2)],
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, UPSERT])
def test_what_a_resolution_makes_of_what_is_held(
    lab: Lab, resolution: str, written: int, inserted: int, options: dict[str, Any]
) -> None:
    incident = blocked(lab, **options)
    found = look(lab, incident=incident, asked=Asked(resolution))
    assert found.after.stops == ""
    assert found.after.balance.written == written
    assert found.rows.counts["inserted"] == inserted
    assert found.command == f"lake incidents resolve {incident} {resolution}"
    if resolution == "rescue":
        example = found.after.rescued["n"]
        assert (example.count, example.offset, example.value) == (1, 2, '"many"')
    if resolution == "quarantine":
        [example] = found.after.quarantined.values()
        assert (example.count, example.value) == (1, '{"id": 3, "n": "many"}')
    if resolution == "reject":
        assert found.after.balance.dropped == 1


def test_the_window_of_a_break_is_looked_at_however_old(lab: Lab) -> None:
    loaded(lab, {"id": 1, "n": 5})
    lab.send({"id": 2, "n": "x"}, at_ms=lab.now_ms - 9 * HOUR_MS)
    lab.send_all([{"id": 3, "n": 3}])
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    [incident] = lab.metastore.incidents("t", "OPEN")
    found = look(lab, incident=incident.id, asked=Asked("rescue"), windows=1)
    assert found.after.rescued["n"].count == 1


def test_a_change_that_does_not_help_stops_again(lab: Lab) -> None:
    blocked(lab)
    found = look(lab, changes={"columns.id": {"type": "string"}})
    assert "column n: long became string" in found.after.stops
    assert "first at p0 offset 2" in found.after.stops


def test_what_stops_is_told_of_the_table_itself(lab: Lab) -> None:
    loaded(lab, {"id": 1, "v": "x"})
    rules = [{"column": "id", "min": 5, "policy": "block"}]
    found = look(lab, changes={"rules": rules})
    assert found.after.stops.startswith("dataset 't' is BLOCKED")
    assert "preview" not in found.after.stops


def test_a_flood_of_quarantine_stops(lab: Lab) -> None:
    loaded(lab, *({"id": n % 20, "v": None if n > 19 else "x"} for n in range(40)))
    changes = {"mode": "upsert", "primary_key": ["id", "v"]}
    found = look(lab, changes=changes)
    assert "20 of 40 records of this batch are bad" in found.after.stops


def test_options_that_change_in_place_say_so(lab: Lab) -> None:
    loaded(lab, {"id": 1, "n": 5})
    found = look(lab, changes={"tombstones": "quarantine"})
    assert found.rows.counts == {"same": 1}
    assert found.command == "lake datasets set t tombstones=quarantine"


def test_a_table_of_which_nothing_is_loaded_yet(lab: Lab) -> None:
    lab.register()
    lab.send_all([{"id": 1, "a-b": 5}])
    lab.dump()
    found = look(lab, changes={"columns.id": {"type": "string"}})
    assert [p.after for p in found.rows.shown] == [{"id": "1", "a_b": 5}]


def test_other_names_come_of_the_windows(lab: Lab) -> None:
    loaded(lab, {"id": 1, "Name": "a"})
    found = look(lab, changes={"names": "lower"})
    assert [astuple(c) for c in found.columns] == [("Name", "string", ""), ("name", "", "string")]
    assert found.command == "lake rebuild t --change names=lower"
    assert "first records of raw" in found.warnings[0]


def test_while_a_rebuild_is_under_way(lab: Lab) -> None:
    loaded(lab, {"id": 1, "n": 5})
    rebuilder = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    rebuilder.begin("t", {"columns.n": {"type": "string"}}, "ops")
    list(rebuilder.build("t"))
    assert look(lab, changes={"columns.n": {"type": "json"}}).rows.counts == {"updated": 1}


def test_batches_that_come_twice_count_once(lab: Lab) -> None:
    loaded(lab, {"id": 1}, evolution="next_batch")
    lab.send_all([{"id": 2, "more": "x"}])
    lab.cycle()
    found = look(lab, changes={"tombstones": "quarantine"})
    assert found.after.balance.records == found.before.balance.records == 2


def test_without_raw(lab: Lab) -> None:
    lab.register()
    with pytest.raises(InvalidFieldError, match="no raw to look at; dump it first: lake dump t"):
        look(lab, changes={"owner": "me"})


def test_with_no_raw_left(lab: Lab) -> None:
    loaded(lab, {"id": 1, "n": 5})
    [commit] = raw_log.commits_after(lab.store, "t", 0)
    gone = replace(commit, expired_at=lab.now_ms)
    lab.store.put(raw_log.commit_key("t", 1), gone.to_bytes())
    lab.store.delete([o.key for o in commit.objects])
    with pytest.raises(RawExpiredError, match="nothing to look at"):
        look(lab, changes={"columns.n": {"type": "string"}})
    lab.send({"id": 2, "n": 6})
    lab.cycle()
    found = look(lab, changes={"columns.n": {"type": "string"}})
    assert [p.after for p in found.rows.shown] == [{"id": 2, "n": "6"}]


@pytest.mark.parametrize(
    ("question", "error", "said"),
    [
        ({}, InvalidFieldError, "nothing of t would differ"),
        ({"changes": {"owner": ""}}, InvalidFieldError, "nothing of the definition of t"),
        ({"changes": {"nonsense": 1}}, InvalidFieldError, "nonsense"),
        ({"changes": {"owner": "x"}, "windows": 0}, InvalidFieldError, "give 1 or more"),
        ({"changes": {"columns.n": {"type": "map"}, "table": "u"}}, InvalidFieldError, "table"),
        ({"changes": {"owner": "x"}, "incident": 1}, InvalidFieldError, "look at one of them"),
        ({"incident": 77, "asked": Asked("rescue")}, IncidentNotFoundError, "no incident 77"),
        ({"changes": {"owner": "x"}, "most_bytes": 10}, InvalidFieldError,
         r"hold 0\.0 MB of raw, more than the 0\.0 MB a preview reads; give fewer, or --max-mb 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(
    lab: Lab, question: dict[str, Any], error: type[Exception], said: str
) -> None:
    loaded(lab, {"id": 1, "n": 5})
    with pytest.raises(error, match=said):
        look(lab, **question)


def test_an_incident_of_another_table(lab: Lab) -> None:
    incident = blocked(lab)
    lab.register("u")
    lab.send({"id": 1}, table="u")
    lab.dump("u")
    with pytest.raises(InvalidFieldError, match=f"lake preview t --incident {incident}"):
        look(lab, "u", incident=incident, asked=Asked("rescue"))


def test_a_table_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(DatasetNotFoundError):
        look(lab, changes={"owner": "x"})


@pytest.mark.parametrize("status", [Status.PAUSED, Status.RETIRED])
def test_a_table_that_is_not_loaded_now(lab: Lab, status: Status) -> None:
    loaded(lab, {"id": 1, "n": 5})
    lab.metastore.set_status("t", status, "ann")
    found = look(lab, changes={"columns.n": {"type": "string"}})
    assert found.rows.counts == {"updated": 1}

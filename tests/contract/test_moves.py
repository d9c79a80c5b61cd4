"""Rows that move between partitions, deletes, ordering fields and old dates on real Spark and Hudi:
the same rows for Spark and hudi-rs, before and after a compaction and a replay."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lake_platform.adapters.hudi import engine, options
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError, OldTableError
from tests.hudi_support import HudiLab, hudi_lab, schema
from tests.sampling import sampled
from tests.spark_support import spark

__all__ = ["hudi_lab", "spark"]
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WINDOW = "2026-11-01-00:00"

# Type of the ordering field -> ascending values.
ORDERINGS: dict[str, list[Any]] = {
    "string": ["2026-01-01", "2026-01-02", "2026-01-03"],
    "int": [1, 2, 3],
    "long": [2**40, 2**40 + 1, 2**40 + 2],
    "date": ["2026-01-01", "2026-01-02", "2026-01-03"],
    "timestamp": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-02T00:00:00Z"],
    "double": [0.5, 1.5, 2.5],
}


def moving(lab: HudiLab, kind: str, **values: Any) -> None:
    lab.register(
        source=schema(id="long", c="string", v="long", u=kind, op="string"), mode="upsert",
        primary_key=("id",), partition_by=("c",), max_quarantine_ratio=1.0, **values,
    )  # fmt: skip


def put(lab: HudiLab, ident: int, c: str | None, v: int, u: Any, op: str = "") -> None:
    lab.send({"id": ident, "c": c, "v": v, "u": u, "op": op}, key=json.dumps({"id": ident}))


@pytest.mark.parametrize("kind", sampled(ORDERINGS, "string"))
def test_a_row_that_moves_is_one_row_for_every_reader(hudi_lab: HudiLab, kind: str) -> None:
    lab, (first, second, third) = hudi_lab, ORDERINGS[kind]
    moving(lab, kind, ordering_field="u", delete_when="op = 'D'")
    for ident in range(6):
        put(lab, ident, "x", 1, second)
    lab.cycle()
    put(lab, 1, "y", 2, third)
    put(lab, 2, "y", 0, first)  # late
    put(lab, 3, "z", 3, second)  # as great: the later one wins
    put(lab, 4, "y", 0, third, op="D")
    lab.send(None, key='{"id":5}')
    lab.send(None, key='{"id":99}')
    (done,) = lab.cycle()
    balance = done.applied.balance
    assert (balance.written, balance.deleted, balance.difference) == (2, 2, 0)
    expected = [(0, "x", 1), (1, "y", 2), (2, "x", 1), (3, "z", 3)]
    assert lab.both("id", "c", "v") == expected
    lab.compact()
    assert lab.both("id", "c", "v") == expected
    put(lab, 1, "x", 9, third)
    lab.cycle()
    lab.load(replay=[WINDOW])
    assert lab.both("id", "c", "v") == [(0, "x", 1), (1, "x", 9), (2, "x", 1), (3, "z", 3)]
    assert lab.folders() == {"c=x", "c=y", "c=z"}


def test_late_versions_of_a_row_that_moved(hudi_lab: HudiLab) -> None:
    moving(hudi_lab, "long", ordering_field="u")
    put(hudi_lab, 1, "d1", 1, 1)
    hudi_lab.cycle()
    put(hudi_lab, 1, "d2", 5, 5)
    hudi_lab.cycle()
    put(hudi_lab, 1, "d3", 3, 3)
    put(hudi_lab, 1, "d1", 4, 4)
    (done,) = hudi_lab.cycle()
    assert (done.applied.balance.written, done.applied.balance.deduplicated) == (0, 2)
    for _ in range(2):
        assert hudi_lab.both("id", "c", "v") == [(1, "d2", 5)]
        hudi_lab.load(replay=[WINDOW])
    hudi_lab.compact()
    assert hudi_lab.both("id", "c", "v") == [(1, "d2", 5)]


def test_tombstones_find_their_row_wherever_it_is(hudi_lab: HudiLab) -> None:
    lab = hudi_lab
    moving(lab, "long")
    put(lab, 1, "NO", 1, 0)
    put(lab, 2, "SE", 1, 0)
    put(lab, 4, None, 1, 0)
    put(lab, 6, "", 1, 0)
    put(lab, 7, "", 1, 0)
    lab.cycle()
    put(lab, 6, "", 2, 0)  # one folder for none and for empty: it stays where it is
    put(lab, 7, None, 2, 0)
    (done,) = lab.cycle()
    assert done.applied.balance.written == 2
    assert [(i, v) for i, v in lab.both("id", "v") if i > 5] == [(6, 2), (7, 2)]
    for ident in (1, 3, 4, 6, 7):
        lab.send(None, key=json.dumps({"id": ident}))
    put(lab, 5, "SE", 1, 0)
    lab.send(None, key='{"id":5}')
    (done,) = lab.cycle()
    balance = done.applied.balance
    assert (balance.written, balance.deleted, balance.deduplicated) == (0, 4, 3)
    assert lab.both("id", "c", "v") == [(2, "SE", 1)]
    put(lab, 1, "DK", 2, 0)
    lab.cycle()
    for step in (lab.compact, lambda: lab.load(replay=[WINDOW]), lambda: None):
        assert lab.both("id", "c", "v") == [(1, "DK", 2), (2, "SE", 1)]
        step()


def test_a_delete_of_an_unknown_key_deletes_nothing(hudi_lab: HudiLab) -> None:
    hudi_lab.register(source=schema(id="long", v="long"), mode="upsert", primary_key=("id",))
    hudi_lab.send({"id": 1, "v": 1}, key="1")
    for ident in ("1", "2", "2"):
        hudi_lab.send(None, key=ident)
    (done,) = hudi_lab.cycle()
    assert (done.applied.balance.deleted, done.applied.balance.deduplicated) == (0, 4)
    hudi_lab.send({"id": 1, "v": 1}, key="1")
    hudi_lab.cycle()
    for ident in ("1", "1", "2"):
        hudi_lab.send(None, key=ident)
    (done,) = hudi_lab.cycle()
    assert (done.applied.balance.deleted, done.applied.balance.deduplicated) == (1, 2)
    assert hudi_lab.both("id") == []


@pytest.mark.deep
@pytest.mark.parametrize("also", [("id",), ("id", "u")], ids=["key", "key and ordering"])
def test_the_ordering_field_may_be_part_of_the_place(
    hudi_lab: HudiLab, also: tuple[str, ...]
) -> None:
    """A delete in the old partition then ranks as the row it deletes."""
    lab = hudi_lab
    lab.register(
        source=schema(id="long", u="string", v="long"), mode="upsert", primary_key=("id",),
        partition_by=("u",), ordering_field="u",
    )  # fmt: skip
    for number, u in enumerate(("d1", "d3", "d2", "d4")):
        lab.send({"id": 1, "u": u, "v": number}, key="1")
        lab.cycle()
    assert lab.both(*also, "v") == [(1, *(["d4"] if "u" in also else []), 3)]
    lab.compact()
    assert lab.both(*also, "v") == [(1, *(["d4"] if "u" in also else []), 3)]


HOURS = "SELECT id, date_trunc('HOUR', to_timestamp(at)) AS hour FROM input"


def test_rows_do_not_move_between_folders_of_timestamps(hudi_lab: HudiLab) -> None:
    hudi_lab.register(
        source=schema(id="long", at="string"), mode="upsert", primary_key=("id",),
        partition_by=("hour",), transforms=(Transform(sql=HOURS),),
    )  # fmt: skip
    hudi_lab.send({"id": 1, "at": "2026-11-01T10:15:00Z"})
    with pytest.raises(InvalidFieldError, match=r"partition_by='hour'.*to_date"):
        hudi_lab.cycle()


@pytest.mark.parametrize("mode", sampled(["append", "in-key"], "append"))
def test_timestamps_name_one_folder_in_every_write(hudi_lab: HudiLab, mode: str) -> None:
    keys = {"append": (), "in-key": ("id", "hour")}[mode]
    hudi_lab.register(
        source=schema(id="long", at="string"), mode="append" if mode == "append" else "upsert",
        primary_key=keys, partition_by=("hour",), transforms=(Transform(sql=HOURS),),
    )  # fmt: skip
    for ident, at in ((1, "2026-11-01T10:15:00Z"), (2, "2026-11-01T11:45:00Z"), (3, None)):
        if at or mode != "in-key":
            hudi_lab.send({"id": ident, "at": at})
    hudi_lab.cycle()
    utc = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    frame = hudi_lab.session.read.format("hudi").load(hudi_lab.store.url("lake/t"))
    for _ in range(2):
        found = {r[0]: r[1] for r in frame.selectExpr("id", "cast(hour as string)").collect()}
        wanted = {1: "2026-11-01 10:00:00", 2: "2026-11-01 11:00:00", 3: None}
        assert found == {k: v for k, v in wanted.items() if v or mode != "in-key"}
        folders = hudi_lab.folders()
        assert len(folders) == len(found), folders
        hudi_lab.load(replay=[WINDOW])
        frame = hudi_lab.session.read.format("hudi").load(hudi_lab.store.url("lake/t"))
    theirs = {r["id"]: r["hour"] for r in _hudi_rs(hudi_lab)}
    assert theirs[1] == utc.replace(hour=10)


def test_a_table_with_folders_that_spark_cannot_read_stops(
    hudi_lab: HudiLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older release named them."""
    consistent = "hoodie.datasource.write.keygenerator.consistent.logical.timestamp.enabled"
    hudi_lab.register(
        source=schema(id="long", at="timestamp"), mode="upsert", primary_key=("id",),
        partition_by=("at",),
    )  # fmt: skip
    with monkeypatch.context() as older:
        older.setattr(options, "COMMON", {**options.COMMON, consistent: "false"})
        older.setattr(engine, "FIRST_BATCH", {})
        hudi_lab.send({"id": 1, "at": "2026-11-01T10:00:00Z"}, key="1")
        hudi_lab.cycle()
    assert hudi_lab.folders() == {"at=1793527200000000"}
    hudi_lab.send({"id": 1, "at": "2026-11-01T11:00:00Z"}, key="1")
    hudi_lab.dump()
    with pytest.raises(OldTableError, match=r"at=1793527200000000.*lake/t/ and"):
        hudi_lab.load()


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_old_dates_are_what_they_were(hudi_lab: HudiLab, mode: Any) -> None:
    lab = hudi_lab
    lab.register(
        source=schema(id="long", at="timestamp", d="date"), mode=mode,
        primary_key=("id",) if mode == "upsert" else (),
    )  # fmt: skip
    sent = [
        ("2026-11-01T10:00:00Z", "2026-11-01"), ("0001-01-01T00:00:00Z", "0001-01-01"),
        ("1899-12-31T23:59:59Z", "1582-10-10"), ("1582-10-04T00:00:00.000001Z", "9999-12-31"),
    ]  # fmt: skip
    for ident, (at, d) in enumerate(sent):
        lab.send({"id": ident, "at": at, "d": d}, key=str(ident))
    lab.cycle()
    wanted = [(n, at.replace("T", " ").removesuffix("Z"), d) for n, (at, d) in enumerate(sent)]

    def check() -> None:
        frame = lab.session.read.format("hudi").load(lab.store.url("lake/t"))
        ours = frame.selectExpr("id", "cast(at as string)", "cast(d as string)").collect()
        assert sorted(tuple(r) for r in ours) == wanted
        theirs = [(r["id"], r["at"], str(r["d"])) for r in _hudi_rs(lab)]
        assert sorted((i, _text(at), d) for i, at, d in theirs) == wanted

    check()
    lab.load(replay=[WINDOW])
    check()
    if mode == "upsert":
        lab.send({"id": 0, "at": sent[0][0], "d": sent[0][1]}, key="0")
        lab.cycle()
        lab.compact()
        check()
    rows = lab.engine.newest_rows(lab.dataset(), ["at", "d"], 10)
    assert rows, "the newest rows can be looked at"


def _hudi_rs(lab: HudiLab) -> Iterator[dict[str, Any]]:
    from tests.integration.real_kafka import hudi_rs_rows

    held = hudi_rs_rows(lab.home / "storage" / "lake" / "t")
    return (r for r in held if not r.get("_hoodie_is_deleted"))


def _text(at: dt.datetime) -> str:
    year = at.strftime("%Y").zfill(4)
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return f"{year}{at.strftime('-%m-%d %H:%M:%S')}{fraction}"


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT id, repeat('ü', 120) AS p FROM input", "partition value longer than 200 bytes"),
        ("SELECT '' AS id, 'p' AS p FROM input", "primary key is null or missing"),
    ],
)
def test_what_a_step_makes_has_the_verdict_of_the_scan(
    hudi_lab: HudiLab, sql: str, why: str
) -> None:
    hudi_lab.register(
        source=schema(id="string"), mode="upsert", primary_key=("id",), partition_by=("p",),
        transforms=(Transform(sql=sql),), max_quarantine_ratio=1.0,
    )  # fmt: skip
    hudi_lab.send({"id": "a"})
    hudi_lab.cycle()
    assert [q["reason"] for q in hudi_lab.quarantined()] == [why]
    assert hudi_lab.folders() == set()

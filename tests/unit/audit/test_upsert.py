"""The deep audit of an upsert table: per key the last record after deletes, by value."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.report import Counts
from lake_platform.domain.quality import Reason
from lake_platform.domain.schema import Array, Field, Scalar, Struct
from tests.audit_support import (
    Copy,
    RowReader,
    copy_of,
    one_twice,
    rewrite_lines,
    seeded,
    without_one,
    wrong,
)
from tests.sampling import sampled
from tests.support import HOUR_MS, Lab

LONG, TEXT, DOUBLE = Scalar("long"), Scalar("string"), Scalar("double")
SOURCE = Struct(
    (Field("id", LONG), Field("name", TEXT), Field("ver", LONG), Field("score", DOUBLE),
     Field("tags", Array(TEXT)), Field("o", Struct((Field("k", LONG),))))
)  # fmt: skip
COLUMNS = [
    pa.field("id", pa.int64()), pa.field("name", pa.string()), pa.field("ver", pa.int64()),
    pa.field("score", pa.float64()), pa.field("tags", pa.list_(pa.string())),
    pa.field("o", pa.struct([("k", pa.int64())])),
]  # fmt: skip


def make(home: Path, **definition: Any) -> Lab:
    home.mkdir(exist_ok=True)
    lab = Lab(home)
    lab.store = open_store((home / "storage").as_uri())
    lab.engine = type(lab.engine)(lab.store)  # type: ignore[call-arg]
    values = {
        "partitions": 2, "mode": "upsert", "primary_key": ("id",), "source": SOURCE,
        "max_quarantine_ratio": 1.0,
    }  # fmt: skip
    lab.register(**{**values, **definition})
    return lab


def tell(lab: Lab, chance: random.Random, hours: int = 3) -> None:
    """Keys change, move between partitions, are deleted and come back, with bad records between."""
    for _ in range(hours):
        for _ in range(40):
            key = chance.randrange(15)
            partition = key % 2 if chance.random() < 0.8 else chance.randrange(2)
            lab.now_ms += chance.randrange(1_000)
            late = lab.now_ms - chance.choice([0, 0, 0, 5_000])
            if chance.random() < 0.15:
                lab.send(None, key=str(key), partition=partition, at_ms=late)
                continue
            lab.send(_value(key, chance), key=str(key), partition=partition, at_ms=late)
        lab.send(b"{", reason=Reason.NOT_JSON.value)
        lab.send({"name": "no key"}, reason=Reason.NULL_KEY.value, partition=1)
        lab.send(None, key="no number", reason=Reason.TOMBSTONE_KEY.value)
        lab.cycle()
        lab.now_ms += HOUR_MS


def _value(key: int, chance: random.Random) -> dict[str, Any]:
    value: dict[str, Any] = {"id": key, "name": f"n{chance.randrange(1_000)}"}
    value["ver"] = chance.randrange(50)
    if chance.random() < 0.5:
        value |= {"score": chance.random(), "tags": ["a", None], "o": {"k": chance.randrange(9)}}
    return value


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = make(tmp_path_factory.mktemp("told"))
    tell(lab, seeded(7))
    yield lab
    lab.close()


def copied(lab: Lab, target: Path) -> Copy:
    return replace(copy_of(lab, target), reader=RowReader(lab, COLUMNS))


def test_sound_data_is_sound_and_adds_up(told: Lab, tmp_path: Path) -> None:
    copy = copied(told, tmp_path / "c")
    report = copy.audit()
    assert report.verdict == "sound"
    total = report.total
    assert (total.records, total.raw, total.quarantined) == (129, 129, 9)
    assert copy.reader is not None
    assert total.table == len(copy.reader.rows) > 5
    assert total.records == total.table + total.quarantined + total.dropped


@pytest.mark.parametrize("ordering", [None, "ver"])
def test_sound_stories_are_never_called_unsound(tmp_path: Path, ordering: str | None) -> None:
    for seed in range(12):
        lab = make(tmp_path / str(seed), ordering_field=ordering)
        tell(lab, seeded(seed), hours=2)
        report = Copy(lab, lab.home / "storage", RowReader(lab, COLUMNS)).audit()
        assert report.sound, (seed, report.findings)
        lab.close()


Rows = list[dict[str, Any]]
Tamper = Callable[[Copy, random.Random], Counts]


def _rows(copy: Copy) -> Rows:
    assert copy.reader is not None
    return copy.reader.rows


def row_lost(copy: Copy, chance: random.Random) -> Counts:
    _rows(copy).pop(chance.randrange(len(_rows(copy))))
    return Counts(lost=1)


def row_doubled(copy: Copy, chance: random.Random) -> Counts:
    _rows(copy).append(dict(chance.choice(_rows(copy))))
    return Counts(duplicated=1)


def row_alien(copy: Copy, chance: random.Random) -> Counts:
    _rows(copy).append({**chance.choice(_rows(copy)), "id": 999})
    return Counts(alien=1)


def row_changed(copy: Copy, chance: random.Random) -> Counts:
    chance.choice(_rows(copy))["name"] = "forged"
    return Counts(lost=1, alien=1)


def row_stale(copy: Copy, chance: random.Random) -> Counts:
    """An older record of the key stands where the newest must."""
    row = chance.choice([r for r in _rows(copy) if len(_history(copy, r)) > 1])
    older = _history(copy, row)[-2]
    row |= dict.fromkeys(("name", "ver", "score", "tags", "o")) | json.loads(older.value)
    row |= {"_kafka_partition": older.partition, "_kafka_offset": older.offset}
    return Counts(lost=1, alien=1)


def _history(copy: Copy, row: dict[str, Any]) -> list[Any]:
    """The key's records with values of their own, as they were sent, the row's own one last."""
    own = next(
        s for s in copy.lab.sent["t"]
        if s.at == (row["_kafka_partition"], row["_kafka_offset"])
    )  # fmt: skip
    same = [
        s for s in copy.lab.sent["t"]
        if s.value and not s.reason and json.loads(s.value)["id"] == row["id"]
        and s.value != own.value
    ]  # fmt: skip
    return [*same, own]


def raw_lost(copy: Copy, chance: random.Random) -> Counts:
    rewrite_lines(chance.choice(copy.files("raw/**/*.gz")), lambda x: without_one(chance, x))
    return Counts(raw_lost=1)


def raw_doubled(copy: Copy, chance: random.Random) -> Counts:
    rewrite_lines(chance.choice(copy.files("raw/**/*.gz")), lambda x: one_twice(chance, x))
    return Counts(raw_duplicated=1)


def quarantined_lost(copy: Copy, chance: random.Random) -> Counts:
    file = chance.choice(copy.files("quarantine/**/*.gz"))
    rewrite_lines(file, lambda x: without_one(chance, x))
    return Counts(lost=1)


def quarantined_doubled(copy: Copy, chance: random.Random) -> Counts:
    rewrite_lines(chance.choice(copy.files("quarantine/**/*.gz")), lambda x: one_twice(chance, x))
    return Counts(duplicated=1)


def quarantined_alien(copy: Copy, chance: random.Random) -> Counts:
    """A record that is fine, and was replaced by a later one, as if it were bad."""
    kept = {(r["_kafka_partition"], r["_kafka_offset"]) for r in _rows(copy)}
    fine = [s for s in copy.lab.sent["t"] if not s.reason and s.value and s.at not in kept]
    record = chance.choice(fine)
    line = {"partition": record.partition, "offset": record.offset, "timestamp": record.timestamp}
    forged = {"reason": Reason.NULL_KEY.value, "record": line}
    file = chance.choice(copy.files("quarantine/**/*.gz"))
    rewrite_lines(file, lambda x: [*x, json.dumps(forged).encode() + b"\n"])
    return Counts(alien=1)


TAMPERS: list[Tamper] = [
    row_lost, row_doubled, row_alien, row_changed, row_stale, raw_lost, raw_doubled,
    quarantined_lost, quarantined_doubled, quarantined_alien,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("first", sampled(range(0, 100, 25), 0, 50))
def test_every_one_of_100_random_hands_is_found(told: Lab, tmp_path: Path, first: int) -> None:
    missed = []
    for trial in range(first, first + 25):
        chance = seeded(trial)
        tamper = TAMPERS[trial % len(TAMPERS)]
        copy = copied(told, tmp_path / str(trial))
        expected = tamper(copy, chance)
        report = copy.audit()
        if report.sound or wrong(report.total) != expected:
            missed.append((trial, tamper.__name__, report.total, report.findings))
    assert missed == []


def test_what_kafka_aged_out_is_taken_from_raw_with_its_values(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab")
    tell(lab, seeded(3))
    for partition in (0, 1):
        lab.kafka.expire("topic.t", partition, 40)
    copy = copied(lab, tmp_path / "c")
    report = copy.audit()
    assert report.verdict == "sound"
    assert {(p.partition, p.end) for p in report.unprovable} == {(0, 40), (1, 40)}
    row_changed(copy, seeded(1))
    assert wrong(copy.audit().total) == Counts(lost=1, alien=1)
    lab.close()


def test_a_delete_that_batches_decide_leaves_its_key_undecided_and_says_so(tmp_path: Path) -> None:
    """A smaller ordering value after a delete: with the delete in one batch it is gone, alone in
    the next one it brings the row back."""
    lab = make(tmp_path / "lab", ordering_field="ver")
    lab.send({"id": 1, "ver": 9}, key="1")
    lab.send(None, key="1")
    lab.cycle()
    lab.send({"id": 1, "ver": 3}, key="1")
    lab.send({"id": 2, "ver": 3}, key="2")
    lab.cycle()
    copy = copied(lab, tmp_path / "c")
    assert len(_rows(copy)) == 2
    report = copy.audit()
    assert report.sound
    assert "1 keys are not provable" in report.notes[0]
    copy.reader.rows = [r for r in _rows(copy) if r["id"] == 2]  # type: ignore[union-attr]
    assert copy.audit().sound
    _rows(copy).clear()
    assert wrong(copy.audit().total) == Counts(lost=1)
    lab.close()


def test_records_that_wait_are_pending(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab")
    tell(lab, seeded(4), hours=1)
    lab.send({"id": 3, "ver": 1}, key="3")
    lab.dump()
    report = copied(lab, tmp_path / "c").audit()
    assert (report.verdict, report.total.pending) == ("pending", 1)
    lab.close()


def test_a_column_the_table_does_not_have_is_a_lost_value(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab")
    lab.send({"id": 1, "name": "a", "late": 5}, key="1")
    lab.cycle()
    copy = copied(lab, tmp_path / "c")  # its columns are those of before
    assert wrong(copy.audit().total) == Counts(lost=1, alien=1)
    lab.close()

"""The deep audit of an append table: what a hand took or added anywhere is found, every time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.audit.report import Counts
from lake_platform.audit.sources import TableLook
from lake_platform.audit.tables import ParquetReader
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import Gap, Slice
from lake_platform.domain.transform import Transform
from lake_platform.errors import (
    CorruptRawError,
    InvalidFieldError,
    NothingToAuditError,
    TableUnreadableError,
    UnsettledTableError,
)
from tests.audit_support import (
    Copy,
    copy_of,
    one_twice,
    parquet_lab,
    rewrite_lines,
    rewrite_rows,
    seeded,
    without_one,
    without_spark,
    wrong,
)
from tests.sampling import sampled
from tests.support import HOUR_MS, NOW_MS, Fault, Faulty, Lab, Trap

_ALIEN_OFFSET = 1_000_000


FILTER = (Transform(sql="SELECT * FROM input WHERE id % 5 <> 0"),)


def story(lab: Lab) -> None:
    """Three hours over two partitions, with bad values and tombstones, in several batches."""
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 40))
    for hour in range(3):
        for n in range(60):
            lab.send({"id": n, "name": f"{hour}-{n}"}, key=str(n), partition=n % 2)
        for n in range(6):
            lab.send(b"{", partition=n % 2, reason="not one valid JSON document")
        lab.send(None, key="1", partition=1)
        lab.send(None, key="2")
        lab.cycle()
        lab.now_ms += HOUR_MS


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        yield patch


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> Iterator[Lab]:  # noqa: ARG001
    lab = parquet_lab(tmp_path_factory.mktemp("told"))
    story(lab)
    lab.read_rows = lambda _: []
    yield lab
    lab.close()


@pytest.fixture
def lab(tmp_path: Path, patched: pytest.MonkeyPatch) -> Iterator[Lab]:  # noqa: ARG001
    made = parquet_lab(tmp_path / "lab")
    yield made
    made.close()


@pytest.fixture
def copy(told: Lab, tmp_path: Path) -> Copy:
    return copy_of(told, tmp_path / "copy")


def test_sound_data_has_nothing_lost_duplicated_or_alien(copy: Copy) -> None:
    report = copy.audit()
    assert report.verdict == "sound"
    assert report.total == Counts(
        records=204, raw=204, table=180, quarantined=18, dropped=6
    )  # fmt: skip
    assert [line.window for line in report.lines] == [
        "2026-11-01-00:00", "2026-11-01-01:00", "2026-11-01-02:00",
    ]  # fmt: skip
    assert {line.counts.records for line in report.lines} == {68}
    assert (report.problems, report.findings, report.unprovable) == ((), (), ())
    assert report.backlog == 0


Tamper = Callable[[Copy, random.Random], Counts]


def _line(chance: random.Random, line: bytes) -> bytes:
    """`line` with coordinates that no record has."""
    plain = json.loads(line)
    record = plain.get("record", plain)
    record["offset"] = _ALIEN_OFFSET + chance.randrange(1_000)
    return json.dumps(plain).encode() + b"\n"


def _row(chance: random.Random, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "_kafka_offset": _ALIEN_OFFSET + chance.randrange(1_000)}


def table_row_lost(copy: Copy, chance: random.Random) -> Counts:
    rewrite_rows(chance.choice(copy.files("lake/t/*.parquet")), lambda r: without_one(chance, r))
    return Counts(lost=1)


def table_row_doubled(copy: Copy, chance: random.Random) -> Counts:
    rewrite_rows(chance.choice(copy.files("lake/t/*.parquet")), lambda r: one_twice(chance, r))
    return Counts(duplicated=1)


def table_row_alien(copy: Copy, chance: random.Random) -> Counts:
    file = chance.choice(copy.files("lake/t/*.parquet"))
    rewrite_rows(file, lambda r: [*r, _row(chance, chance.choice(r))])
    return Counts(alien=1)


def raw_record_lost(copy: Copy, chance: random.Random) -> Counts:
    rewrite_lines(chance.choice(copy.files("raw/**/*.gz")), lambda x: without_one(chance, x))
    return Counts(raw_lost=1)


def raw_record_doubled(copy: Copy, chance: random.Random) -> Counts:
    rewrite_lines(chance.choice(copy.files("raw/**/*.gz")), lambda x: one_twice(chance, x))
    return Counts(raw_duplicated=1)


def raw_record_alien(copy: Copy, chance: random.Random) -> Counts:
    file = chance.choice(copy.files("raw/**/*.gz"))
    rewrite_lines(file, lambda x: [*x, _line(chance, chance.choice(x))])
    return Counts(raw_alien=1)


def quarantined_lost(copy: Copy, chance: random.Random) -> Counts:
    file = chance.choice(copy.files("quarantine/**/*.gz"))
    rewrite_lines(file, lambda x: without_one(chance, x))
    return Counts(lost=1)


def quarantined_doubled(copy: Copy, chance: random.Random) -> Counts:
    rewrite_lines(chance.choice(copy.files("quarantine/**/*.gz")), lambda x: one_twice(chance, x))
    return Counts(duplicated=1)


def quarantined_alien(copy: Copy, chance: random.Random) -> Counts:
    file = chance.choice(copy.files("quarantine/**/*.gz"))
    rewrite_lines(file, lambda x: [*x, _line(chance, chance.choice(x))])
    return Counts(alien=1)


TAMPERS: list[Tamper] = [
    table_row_lost, table_row_doubled, table_row_alien, raw_record_lost, raw_record_doubled,
    raw_record_alien, quarantined_lost, quarantined_doubled, quarantined_alien,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("first", sampled(range(0, 100, 25), 0, 50))
def test_every_one_of_100_random_hands_is_found(told: Lab, tmp_path: Path, first: int) -> None:
    missed = []
    for trial in range(first, first + 25):
        chance = seeded(trial)
        tamper = TAMPERS[trial % len(TAMPERS)]
        copy = copy_of(told, tmp_path / str(trial))
        expected = tamper(copy, chance)
        report = copy.audit()
        found = report.verdict == "unsound" and wrong(report.total) == expected
        if not found or len(report.findings) != 1:
            missed.append((trial, tamper.__name__, report.total, report.findings))
    assert missed == []


def test_a_finding_names_place_coordinates_and_window(copy: Copy) -> None:
    file = copy.files("lake/t/*.parquet")[0]
    gone: list[dict[str, Any]] = []
    rewrite_rows(file, lambda rows: gone.append(rows[3]) or rows[:3] + rows[4:])  # type: ignore[func-returns-value]
    report = copy.audit()
    (finding,) = report.findings
    assert (finding.place, finding.kind) == ("table", "lost")
    assert finding.partition == gone[0]["_kafka_partition"]
    assert finding.offset == gone[0]["_kafka_offset"]
    assert finding.window == gone[0]["_kafka_timestamp"].strftime("%Y-%m-%d-%H:00")
    assert not copy.audit(window=finding.window).sound
    assert copy.audit(window="2026-11-01-02:00").sound


@pytest.mark.parametrize(
    ("pattern", "place"),
    [("lake/t/*.parquet", "lost"), ("raw/**/*.gz", "raw_lost"), ("quarantine/**/*.gz", "lost")],
)
def test_a_whole_file_that_is_gone_is_found(copy: Copy, pattern: str, place: str) -> None:
    copy.files(pattern)[0].unlink()
    report = copy.audit()
    assert getattr(report.total, place) > 1
    assert bool(report.problems) == pattern.startswith("raw")


def test_files_that_cannot_be_read_are_named(copy: Copy) -> None:
    raw, quarantined = copy.files("raw/**/*.gz")[0], copy.files("quarantine/**/*.gz")[0]
    for file in (raw, quarantined):
        file.write_bytes(file.read_bytes()[:-20])
    texts = " ".join(p.text for p in copy.audit().problems)
    assert raw.name in texts
    assert quarantined.name in texts
    table = copy.files("lake/t/*.parquet")[0]
    table.write_bytes(b"PAR1")
    with pytest.raises(TableUnreadableError, match=table.name):
        copy.audit()


def test_a_table_that_was_removed_is_lost_not_pending(copy: Copy) -> None:
    for prefix in ("lake/t/*.parquet", "checkpoints/t/phase2/batches/*"):
        for file in copy.files(prefix):
            file.unlink()
    report = copy.audit()
    assert (report.total.lost, report.total.pending) == (180, 0)


def test_raw_commits_that_wait_are_pending_not_lost(lab: Lab) -> None:
    story(lab)
    lab.send({"id": 1, "name": "late"})
    lab.dump()
    lab.send({"id": 2, "name": "not read yet"})
    report = Copy(lab, lab.home / "storage").audit()
    assert report.verdict == "pending"
    assert (report.total.pending, report.total.lost, report.backlog) == (1, 0, 1)
    assert (report.applied, report.head) == (report.head - 1, report.head)


class TestTombstonesWhenTheDefinitionChanged:
    """What was right when it was loaded is not wrong because the definition says else now."""

    def change(self, lab: Lab, tombstones: str) -> None:
        record = lab.metastore.get("t")
        lab.metastore.update("t", {"tombstones": tombstones}, record.version, "test")

    @pytest.mark.parametrize(("first", "then"), [("drop", "quarantine"), ("quarantine", "drop")])
    def test_sound_stays_sound(self, tmp_path: Path, first: str, then: str) -> None:
        lab = parquet_lab(tmp_path / "lab", tombstones=first)
        story(lab)
        self.change(lab, then)
        story(lab)
        copy = Copy(lab, lab.home / "storage")
        for deep in (True, False):
            report = copy.audit(deep=deep)
            assert report.verdict == "sound", (deep, report.findings, report.total)
            assert (report.total.dropped, report.total.quarantined) == (6, 42)
        lab.close()

    def test_one_that_is_missing_from_quarantine_is_lost(self, tmp_path: Path) -> None:
        lab = parquet_lab(tmp_path / "lab", tombstones="drop")
        story(lab)
        self.change(lab, "quarantine")
        story(lab)
        copy = Copy(lab, lab.home / "storage")
        files = copy.files("quarantine/**/*.gz")
        rewrite_lines(files[-1], lambda x: [y for y in x if b"tombstone" not in y])
        assert [wrong(copy.audit(deep=d).total).lost for d in (True, False)] == [2, 2]
        lab.close()


class TestWhatKafkaNoLongerHolds:
    def test_is_taken_from_raw_and_said(self, lab: Lab) -> None:
        story(lab)
        lab.kafka.expire("topic.t", 0, 50)
        report = Copy(lab, lab.home / "storage").audit()
        assert report.verdict == "sound"
        assert report.total.records == 204
        (part,) = report.unprovable
        assert (part.partition, part.start, part.end) == (0, 0, 50)
        assert "aged it out" in part.why

    def test_is_still_held_against_the_table(self, lab: Lab) -> None:
        story(lab)
        for partition in (0, 1):
            lab.kafka.expire("topic.t", partition, 40)
        copy = Copy(lab, lab.home / "storage")
        table_row_lost(copy, seeded(1))
        assert wrong(copy.audit().total) == Counts(lost=1)

    def test_raw_that_was_changed_there_is_seen_by_its_checksum(self, lab: Lab) -> None:
        story(lab)
        for partition in (0, 1):
            lab.kafka.expire("topic.t", partition, 1_000)
        copy = Copy(lab, lab.home / "storage")
        raw_record_lost(copy, seeded(1))
        report = copy.audit()
        assert not report.sound
        assert "sha256" in report.problems[0].text

    def test_holds_for_a_topic_that_is_gone_or_new(self, lab: Lab) -> None:
        story(lab)
        copy = Copy(lab, lab.home / "storage")
        report = copy.audit(gone=True)
        assert (report.verdict, report.backlog) == ("sound", None)
        assert {p.why for p in report.unprovable} == {"the topic is gone; raw stands for it"}
        lab.kafka.delete_topic("topic.t")
        lab.kafka.create_topic("topic.t", 2)
        lab.send({"id": 1, "name": "of another life"})
        report = copy.audit()
        assert report.verdict == "sound"
        assert "re-created" in report.unprovable[0].why

    def test_a_record_raw_has_and_a_compacted_topic_lost_is_no_alien(self, lab: Lab) -> None:
        story(lab)
        held = lab.kafka._partitions("topic.t")[0]
        held.messages = [m for m in held.messages if m.offset() % 3]
        copy = Copy(lab, lab.home / "storage")
        assert copy.audit().total.raw_alien > 0
        assert copy.audit(compacted=True).verdict == "sound"


def test_an_accepted_gap_is_shown_and_nothing_in_it_is_lost(lab: Lab) -> None:
    for n in range(4):
        lab.send({"id": n, "name": "n"})
    lab.cycle()
    for n in range(4):
        lab.send({"id": n, "name": "unread"})
    lab.kafka.expire("topic.t", 0, 7)
    lab.metastore.accept_gaps("t", [Gap(0, 4, 7, "ann")])
    lab.cycle()
    report = Copy(lab, lab.home / "storage").audit()
    assert report.verdict == "sound"
    assert [(g.partition, g.start, g.end, g.accepted_by) for g in report.gaps] == [(0, 4, 7, "ann")]


def test_an_offset_no_commit_read_is_lost(lab: Lab) -> None:
    """A log whose ranges were made smaller by hand, objects and all."""
    for n in range(6):
        lab.send({"id": n, "name": "n"})
        if n % 2:
            lab.cycle()
    copy = Copy(lab, lab.home / "storage")
    log = copy.files("checkpoints/t/phase1/*.json")
    commit = json.loads(log[1].read_text())
    commit["ranges"], commit["objects"] = {}, []
    log[1].write_text(json.dumps(commit))
    assert wrong(copy.audit().total) == Counts(raw_lost=2, alien=2)


def test_objects_in_no_commit_are_noted_and_change_nothing(copy: Copy) -> None:
    file = copy.files("raw/**/*.gz")[0]
    file.with_name(file.name.replace(".json.gz", "x.json.gz")).write_bytes(file.read_bytes())
    report = copy.audit()
    assert report.verdict == "sound"
    assert "1 raw objects are in no commit" in report.notes[0]


def test_a_record_that_only_an_object_outside_the_log_holds_is_lost(lab: Lab) -> None:
    """Kafka has it no more, and no reader will ever see it."""
    story(lab)
    for partition in (0, 1):
        lab.kafka.expire("topic.t", partition, 1_000)
    copy = Copy(lab, lab.home / "storage")
    log = copy.files("checkpoints/t/phase1/*.json")[0]
    commit = json.loads(log.read_text())
    dropped = commit["objects"].pop()
    log.write_text(json.dumps(commit))
    report = copy.audit()
    # The digests count what the log does not know as alien, and so does a deep audit.
    rows = dropped["records"] - dropped["tombstones"]  # or in quarantine
    assert wrong(report.total) == Counts(raw_lost=dropped["records"], alien=rows)
    assert "1 raw objects are in no commit" in report.notes[0]


def test_a_table_that_is_written_all_the_time_is_not_judged(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[TableLook] = []

    def look(self: ParquetReader, dataset: Dataset) -> TableLook:  # noqa: ARG001
        looks.append(TableLook(6, str(len(looks))))
        return looks[-1]

    monkeypatch.setattr(ParquetReader, "look", look)
    with pytest.raises(UnsettledTableError, match="written 3 times while it was read"):
        copy.audit()
    assert len(looks) == 6


def test_a_table_that_was_written_while_it_was_read_is_read_again(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, looks = ParquetReader.look, []

    def look(self: ParquetReader, dataset: Dataset) -> TableLook:
        looks.append(1)
        return replace(found(self, dataset), version=str(min(len(looks), 2)))

    monkeypatch.setattr(ParquetReader, "look", look)
    assert copy.audit().verdict == "sound"
    assert len(looks) == 4


def test_clocks_that_are_not_believed_are_counted_in_the_hour_of_raw(lab: Lab) -> None:
    for at in (NOW_MS, NOW_MS - 20 * 365 * 86_400_000, NOW_MS + 90 * 86_400_000, 2**62):
        lab.send({"id": 1, "name": "n"}, at_ms=at)
    lab.cycle()
    report = Copy(lab, lab.home / "storage").audit()
    assert report.verdict == "sound"
    assert [(x.window, x.counts.table) for x in report.lines] == [("2026-11-01-00:00", 4)]


def test_tombstones_a_dataset_quarantines_are_no_drops(
    tmp_path: Path,
    patched: pytest.MonkeyPatch,  # noqa: ARG001
) -> None:
    lab = parquet_lab(tmp_path / "q", tombstones="quarantine")
    story(lab)
    report = Copy(lab, lab.home / "storage").audit()
    assert (report.verdict, report.total.dropped, report.total.quarantined) == ("sound", 0, 24)
    lab.close()


class TestStepsThatLeaveRecordsOut:
    @pytest.fixture
    def lab(self, tmp_path: Path, patched: pytest.MonkeyPatch) -> Iterator[Lab]:  # noqa: ARG002
        made = parquet_lab(tmp_path / "lab", transforms=FILTER)
        story(made)
        yield made
        made.close()

    def test_are_counted_and_what_is_not_provable_is_said(self, lab: Lab) -> None:
        report = Copy(lab, lab.home / "storage").audit()
        assert report.verdict == "sound"
        assert (report.total.table, report.total.filtered, report.total.dropped) == (144, 36, 6)
        assert "42 are in no place, 42 were recorded as dropped" in report.notes[0]

    @pytest.mark.parametrize(
        ("tamper", "expected"),
        [
            (table_row_lost, Counts(lost=1, filtered=37)),
            (table_row_doubled, Counts(duplicated=1, filtered=36)),
            (table_row_alien, Counts(alien=1, filtered=36)),
        ],
    )
    def test_hide_no_hand(self, lab: Lab, tamper: Tamper, expected: Counts) -> None:
        copy = Copy(lab, lab.home / "storage")
        tamper(copy, seeded(1))
        report = copy.audit()
        assert report.verdict == "unsound"
        assert wrong(report.total) == expected

    def test_a_record_that_waits_is_neither_lost_nor_left_out(self, lab: Lab) -> None:
        lab.send({"id": 5, "name": "n"})
        lab.send(None)
        lab.dump()
        report = Copy(lab, lab.home / "storage").audit()
        assert (report.verdict, report.total.pending) == ("pending", 2)


class TestNothingToSay:
    def test_without_a_log(self, lab: Lab) -> None:
        with pytest.raises(NothingToAuditError, match="lake dump t"):
            Copy(lab, lab.home / "storage").audit()

    def test_of_a_storage_that_was_emptied(self, copy: Copy) -> None:
        empty = Copy(copy.lab, copy.root / "elsewhere")
        empty.root.mkdir()
        with pytest.raises(NothingToAuditError, match="recorded, so this is another storage"):
            empty.audit()

    def test_of_a_log_with_a_hole(self, copy: Copy) -> None:
        copy.files("checkpoints/t/phase1/*.json")[1].unlink()
        with pytest.raises(CorruptRawError, match="0002"):
            copy.audit()

    def test_of_a_window_that_is_none(self, copy: Copy) -> None:
        with pytest.raises(InvalidFieldError, match="2026-11-24-03:00"):
            copy.audit(window="today")

    def test_of_a_table_whose_files_are_still_moved(self, lab: Lab) -> None:
        lab.send({"id": 1, "name": "n"})
        lab.dump()
        store: Any = Faulty(Trap(1, frozenset(["move"])), lab.store)
        engine = type(lab.engine)(lab.engine._session, store)  # type: ignore[attr-defined,call-arg]
        with pytest.raises(Fault):
            lab.load(store=store, engine=engine)
        with pytest.raises(UnsettledTableError, match="being moved"):
            Copy(lab, lab.home / "storage").audit()

"""What the cheap audit calls unsound, the deep one calls unsound, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.audit.deep import never_milder
from lake_platform.audit.report import NO_WINDOW, AuditReport, Counts, Problem, WindowLine
from tests.audit_support import Copy, copy_of, parquet_lab, seeded, without_spark
from tests.sampling import sampled
from tests.support import Lab
from tests.unit.audit import test_append as append
from tests.unit.audit import test_upsert as upsert

STEPS = {"transforms": [{"sql": "SELECT * FROM input"}]}
Hand = Callable[[Copy], object]


@pytest.fixture(scope="module")
def patched() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        yield


@pytest.fixture(scope="module", params=["append", "append with steps"])
def appended(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    patched: None,  # noqa: ARG001
) -> Iterator[Lab]:
    definition: dict[str, Any] = {"transforms": append.FILTER} if "steps" in request.param else {}
    lab = parquet_lab(tmp_path_factory.mktemp("lab"), **definition)
    append.story(lab)
    yield lab
    lab.close()


@pytest.fixture(scope="module", params=["upsert", "upsert by ver", "upsert with steps"])
def upserted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    ordering = {"ordering_field": "ver"} if "ver" in request.param else {}
    lab = upsert.make(tmp_path_factory.mktemp("lab"), **ordering)
    upsert.tell(lab, seeded(7))
    if "steps" in request.param:  # of which the engine in memory knows nothing
        lab.metastore.update("t", STEPS, 1, "test")
    yield lab
    lab.close()


def faults(report: AuditReport) -> int:
    return report.total.lost + report.total.duplicated + report.total.alien


def held(copy: Copy) -> None:
    cheap, deep = copy.audit(deep=False), copy.audit()
    if cheap.sound:
        return
    assert not deep.sound
    assert faults(deep) >= faults(cheap)


@pytest.mark.parametrize("seed", sampled([1, 2], 2))
@pytest.mark.parametrize("hand", append.TAMPERS, ids=lambda h: h.__name__)
def test_of_an_append_table(
    appended: Lab, tmp_path: Path, hand: Callable[..., object], seed: int
) -> None:
    copy = copy_of(appended, tmp_path / "c")
    hand(copy, seeded(seed))
    held(copy)


@pytest.mark.parametrize("seed", sampled([1, 2], 1))
@pytest.mark.parametrize("hand", upsert.TAMPERS, ids=lambda h: h.__name__)
def test_of_an_upsert_table(
    upserted: Lab, tmp_path: Path, hand: Callable[..., object], seed: int
) -> None:
    copy = upsert.copied(upserted, tmp_path / "c")
    hand(copy, seeded(seed))
    held(copy)


def two_rows_of_one_record(copy: Copy) -> None:
    """As a step leaves them that makes another key each time, after a replay."""
    rows = copy.reader.rows  # type: ignore[union-attr]
    rows += [{**row, "id": row["id"] + 1_000} for row in rows]


def one_row_twice(copy: Copy) -> None:
    rows = copy.reader.rows  # type: ignore[union-attr]
    rows.append(dict(rows[0]))


def a_key_of_two_records(copy: Copy) -> None:
    rows = copy.reader.rows  # type: ignore[union-attr]
    rows[0] |= {"id": rows[1]["id"]}


def a_row_of_no_record(copy: Copy) -> None:
    rows = copy.reader.rows  # type: ignore[union-attr]
    rows.append({**rows[0], "id": 77, "_kafka_offset": 100_000})


def a_row_in_quarantine(copy: Copy) -> None:
    bad = next(s for s in copy.lab.sent["t"] if s.reason and s.value)
    rows = copy.reader.rows  # type: ignore[union-attr]
    rows.append(
        {**rows[0], "id": 78, "_kafka_partition": bad.partition, "_kafka_offset": bad.offset}
    )


def raw_gone(copy: Copy) -> None:
    copy.files("raw/**/*.gz")[0].unlink()


def raw_longer(copy: Copy) -> None:
    file = copy.files("raw/**/*.gz")[0]
    file.write_bytes(file.read_bytes() + b"x")


@pytest.mark.parametrize(
    "hand",
    [two_rows_of_one_record, one_row_twice, a_key_of_two_records, a_row_of_no_record,
     a_row_in_quarantine, raw_gone, raw_longer],
    ids=lambda h: h.__name__,
)  # fmt: skip
def test_each_kind_the_digests_see_in_an_upsert_table(
    upserted: Lab, tmp_path: Path, hand: Hand
) -> None:
    copy = upsert.copied(upserted, tmp_path / "c")
    hand(copy)
    assert not copy.audit(deep=False).sound
    held(copy)


def test_a_step_that_gives_another_key_each_time_doubles_its_records(
    upserted: Lab, tmp_path: Path
) -> None:
    copy = upsert.copied(upserted, tmp_path / "c")
    two_rows_of_one_record(copy)
    doubled = len(copy.reader.rows) // 2  # type: ignore[union-attr]
    assert copy.audit(deep=False).total.duplicated == doubled
    report = copy.audit()
    assert not report.sound
    assert report.total.duplicated + report.total.alien == doubled


def _report(**values: Any) -> AuditReport:
    plain = {"table": "t", "topic": "t", "mode": "upsert", "deep": True, "applied": 1, "head": 1}
    return AuditReport(**{**plain, "lines": (), **values})


def test_what_only_the_digests_see_is_added_and_said() -> None:
    deep = _report(lines=(WindowLine("a", Counts(records=5)),))
    cheap = _report(
        lines=(WindowLine("a", Counts(lost=1)), WindowLine(NO_WINDOW, Counts(duplicated=2))),
        problems=(Problem("a", "gone"),),
    )
    report = never_milder(deep, cheap)
    assert report.total == Counts(records=5, lost=1, duplicated=2)
    assert {x.window: x.counts.sound for x in report.lines} == {"a": False, NO_WINDOW: False}
    assert report.problems == cheap.problems
    assert "3 of what is wrong" in report.notes[-1]


def test_what_both_see_is_counted_once_though_under_another_hour() -> None:
    deep = _report(lines=(WindowLine("a", Counts(lost=1, alien=1)),))
    cheap = _report(lines=(WindowLine("b", Counts(lost=1)), WindowLine("a", Counts(alien=1))))
    report = never_milder(deep, cheap)
    assert report.total == deep.total
    assert report.notes == ()

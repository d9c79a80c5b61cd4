"""A dump whose partitions are read by several: who reads what, and one commit of all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory import systems as memory
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import OffsetRange, RawCommit, Slice
from lake_platform.domain.pool import InProcess
from lake_platform.dump import shares
from lake_platform.dump.dump import dump
from lake_platform.dump.shares import balanced, jobs
from lake_platform.errors import (
    CommitRaceError,
    OffsetsMissingError,
    TopicRecreatedError,
    WorkerLostError,
)
from lake_platform.raw import log as raw_log
from tests.support import Fault, Lab, Trap, check_raw, faulty_ports, raw_lines

DATASET = Dataset(topic="topic.t", table="t")


@dataclass(frozen=True, slots=True)
class Sized(InProcess):
    """Stands for as many processes as it says."""

    @property
    def size(self) -> int:
        return 3


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(shares, "_LEAST_RECORDS", 1)
    monkeypatch.setattr(memory, "_POLL_MESSAGES", 3)
    lab = Lab(tmp_path)
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 30))
    lab.register(partitions=5)
    yield lab
    lab.close()


def spread(lab: Lab, **other: Any) -> Iterator[RawCommit]:
    ports = lab.ports(**other)
    ports = replace(ports, pool=Sized(ports.kafka, ports.store, ports.clock))
    return dump("t", ports, lab.limits)


def fill(lab: Lab, records: int = 100, partitions: int = 5) -> None:
    for n in range(records):
        lab.send({"n": n}, partition=n % partitions)


def log(lab: Lab) -> list[RawCommit]:
    return raw_log.commits_after(lab.store, "t", 0)


def ranges(*sizes: int) -> dict[int, OffsetRange]:
    return {p: OffsetRange(0, size) for p, size in enumerate(sizes)}


def split(sizes: Mapping[int, OffsetRange], most: int, head: RawCommit | None = None) -> list[Any]:
    return [sorted(j.ranges) for j in jobs(DATASET, sizes, head, most)]


def test_the_largest_partition_goes_to_whom_has_the_least() -> None:
    assert balanced({0: 1, 1: 9, 2: 5, 3: 4}, 2) == [[1, 0], [2, 3]]
    assert balanced({0: 5, 1: 5, 2: 5}, 3) == [[0], [1], [2]]


def test_a_process_is_started_for_what_pays_it_alone() -> None:
    least = shares._LEAST_RECORDS
    assert split(ranges(least, least), 8) == [[0], [1]]
    assert split(ranges(least, least - 1), 8) == [[0, 1]]
    assert split(ranges(least, least, least), 2) == [[0, 2], [1]]
    assert split(ranges(least, least, least), 1) == [[0, 1, 2]]
    # One large partition cannot be shared; what is left of the topic is too little.
    assert split(ranges(90 * least, 100, 100), 8) == [[0, 1, 2]]
    assert split(ranges(90 * least, least // 2, least // 2), 8) == [[0], [1, 2]]
    assert split(ranges(0, 0), 8) == [[0, 1]]
    assert split(ranges(least, 0, least), 8) == [[0], [2]]  # nothing to read is nobody's


def test_large_records_pay_a_process_sooner(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_LEAST_RECORDS", 1_000)
    lab.send({"text": "x" * 10_000})
    [head] = lab.dump()
    enough = 10 * head.total_bytes
    monkeypatch.setattr(shares, "_LEAST_BYTES", enough)
    assert split(ranges(10, 10), 8, head) == [[0], [1]]
    assert split(ranges(10, 9), 8, head) == [[0, 1]]
    assert split(ranges(10, 10), 8) == [[0, 1]]  # their size is not known yet


def test_all_is_one_commit_in_the_order_of_each_partition(lab: Lab) -> None:
    fill(lab)
    commits = list(spread(lab))
    assert log(lab) == commits
    assert [c.seq for c in commits] == list(range(1, len(commits) + 1))
    assert [c.complete_as_of is None for c in commits] == [True] * (len(commits) - 1) + [False]
    assert commits[-1].next_offsets == dict.fromkeys(range(5), 20)
    assert commits[-1].total_records == 100
    assert len({o.partition for o in commits[0].objects}) >= 3  # one of each share at least
    for commit in commits:
        assert list(commit.objects) == sorted(
            commit.objects, key=lambda o: (o.partition, o.first_offset)
        )
    check_raw(lab.store, "t", lab.sent["t"])
    assert lab.dump() == []


def test_a_share_that_ended_leaves_its_room_to_the_others(lab: Lab) -> None:
    for n in range(90):
        lab.send({"n": n}, partition=0 if n > 1 else n + 1)
    commits = list(spread(lab))
    assert sum(c.records for c in commits) == 90
    assert set(commits[0].ranges) == {0, 1, 2}
    assert all(set(c.ranges) == {0} for c in commits[1:])
    check_raw(lab.store, "t", lab.sent["t"])


def test_order_marks_and_misfiled_are_kept(lab: Lab) -> None:
    for partition in (0, 1):
        lab.send({"n": 1}, partition=partition, at_ms=lab.now_ms)
        lab.send({"n": 2}, partition=partition, at_ms=lab.now_ms - 5_000)
        lab.send({"n": 3}, partition=partition, at_ms=1)
    [commit] = spread(lab)
    assert commit.order_marks == {0: lab.now_ms, 1: lab.now_ms}
    assert commit.misfiled == 2
    orders = [line.get("order") for line in raw_lines(lab.store, [commit])]
    assert orders == [None, lab.now_ms, lab.now_ms] * 2
    # They go on in the next dump, whoever reads then.
    lab.send({"n": 4}, partition=1, at_ms=lab.now_ms - 1)
    [alone] = lab.dump()
    assert alone.order_marks == commit.order_marks
    assert [line["order"] for line in raw_lines(lab.store, [alone])] == [lab.now_ms]


def test_offsets_gone_from_one_share_stop_all(lab: Lab) -> None:
    fill(lab)
    slices = spread(lab)
    next(slices)
    lab.kafka.expire("topic.t", 4, 18)
    with pytest.raises(OffsetsMissingError) as caught:
        list(slices)
    assert set(caught.value.ranges) == {4}
    assert "'t'" in str(caught.value)
    assert len(log(lab)) == 1


def test_a_topic_re_created_meanwhile_is_not_mixed(lab: Lab) -> None:
    fill(lab)
    slices = spread(lab)
    next(slices)
    lab.kafka.delete_topic("topic.t")
    lab.kafka.create_topic("topic.t", 5)
    with pytest.raises((TopicRecreatedError, OffsetsMissingError)):
        list(slices)
    assert len(log(lab)) == 1


def test_a_lost_process_fails_the_slice_and_commits_nothing(lab: Lab) -> None:
    fill(lab)
    trap = Trap(3, frozenset(["put"]), "after", WorkerLostError("dataset 't'", 1, "ended"))
    with pytest.raises(WorkerLostError):
        list(spread(lab, **faulty_ports(lab, trap)))
    assert log(lab) == []
    assert len(list(spread(lab))) >= 1
    check_raw(lab.store, "t", lab.sent["t"])


def test_two_dumps_at_once_commit_a_slice_once(lab: Lab) -> None:
    fill(lab)
    first, second = spread(lab), spread(lab)
    next(first)
    next(second)
    with pytest.raises(CommitRaceError):
        list(first)
    list(second)
    check_raw(lab.store, "t", lab.sent["t"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_change_nothing_is_lost_or_doubled(lab: Lab, when: str) -> None:
    for at in range(1, 100):
        fill(lab, 12)
        trap = Trap(at, when=when)
        try:
            list(spread(lab, **faulty_ports(lab, trap)))
        except Fault:
            list(spread(lab))
            check_raw(lab.store, "t", lab.sent["t"])
        else:
            assert at > 5
            return
    pytest.fail("there is no end of changes")


def test_one_process_is_asked_for_by_the_limit(lab: Lab) -> None:
    fill(lab)
    lab.limits = replace(lab.limits, dump_processes=1)
    pool = _NeverOpened()
    list(dump("t", lab.ports(pool=pool), lab.limits))
    check_raw(lab.store, "t", lab.sent["t"])


class _NeverOpened:
    size = 3

    def open(self, jobs: object) -> Any:
        raise AssertionError(f"{jobs} need no process")

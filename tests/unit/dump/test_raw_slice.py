"""What a commit says of its raw objects, held against what is in them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory import systems as memory
from lake_platform.domain.offsets import RawCommit, RawObject, Slice
from lake_platform.domain.storage import ObjectStore
from lake_platform.domain.windows import EARLIEST_MS, HOUR_MS
from lake_platform.dump import raw_slice
from tests.support import NOW_MS, Lab, check_raw, raw_lines


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(memory, "_POLL_MESSAGES", 7)
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def described(store: ObjectStore, raw: RawObject) -> RawObject:
    """The object as its own bytes tell; key and window are taken as they are."""
    data = store.get(raw.key)
    text = gzip.decompress(data)
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.split(b"\n")[:-1]]
    offsets = [line["offset"] for line in lines]
    stamps = [line["timestamp"] for line in lines]
    null = [line["offset"] for line in lines if line.get("tombstone")]
    assert offsets == sorted(set(offsets)), "not in offset order"
    (partition,) = {line["partition"] for line in lines}
    return replace(
        raw, partition=partition, first_offset=offsets[0], last_offset=offsets[-1],
        records=len(lines), raw_bytes=len(text), stored_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(), min_timestamp=min(stamps),
        max_timestamp=max(stamps), offset_sum=sum(offsets), tombstones=len(null),
        rejected=sum("value_bytes" in line for line in lines), tombstone_offset_sum=sum(null),
    )  # fmt: skip


def name_of(commit: RawCommit, raw: RawObject) -> str:
    hour = raw.window[:13].replace("-", "/")
    name = f"t-p{raw.partition}-{raw.first_offset}-{raw.last_offset}-{commit.nonce}.json.gz"
    return f"raw/topic.t/{hour}/{name}"


def key_of(line: dict[str, Any]) -> bytes | None:
    if "key_bytes" in line:
        return base64.b64decode(line["key_bytes"])
    return None if line["key"] is None else str(line["key"]).encode()


def check(lab: Lab, commits: Sequence[RawCommit]) -> None:
    keys = {r.at: r.key for r in lab.sent["t"]}
    for line in raw_lines(lab.store, commits):
        assert key_of(line) == keys[line["partition"], line["offset"]]
    for commit in commits:
        assert all(o.key == name_of(commit, o) for o in commit.objects)
        assert list(commit.objects) == [described(lab.store, o) for o in commit.objects]
        places = [(o.partition, o.first_offset) for o in commit.objects]
        assert places == sorted(places)
    check_raw(lab.store, "t", lab.sent["t"])


def send_something(lab: Lab, chance: random.Random, partition: int) -> bool:
    """A record of a kind by chance; returns whether its clock is believed."""
    value: Any = {"n": chance.randrange(1_000)}
    headers = None
    match chance.randrange(8):
        case 0 | 1:
            value = None
        case 2:
            value = b"\xff\x00"
        case 3:
            headers = [("h", b"x")]
    at = lab.now_ms + chance.choice([0, 0, 0, -1, -HOUR_MS, HOUR_MS, HOUR_MS + 1, -10 * HOUR_MS])
    if chance.random() < 0.1:
        at = chance.choice([-1, 0, EARLIEST_MS - 1, EARLIEST_MS])
    lab.send(value, key=chance.choice([None, "k", b"\xfe"]), partition=partition, at_ms=at,
             headers=headers)  # fmt: skip
    return EARLIEST_MS <= at <= lab.now_ms + HOUR_MS


@pytest.mark.parametrize("seed", range(8))
def test_a_commit_says_of_its_objects_what_is_in_them(lab: Lab, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    lab.register(partitions=3)
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 60, roll_bytes=1_500))
    strange = 0
    for n in range(200):
        strange += not send_something(lab, chance, n % 3)
        lab.now_ms += chance.randrange(HOUR_MS // 20)
    # Clocks are believed by the time of the dump, so none may have come into range meanwhile.
    commits = lab.dump()
    assert len(commits) > 1
    check(lab, commits)
    held = [o for c in commits for o in c.objects]
    assert sum(o.tombstones for o in held) == sum(r.value is None for r in lab.sent["t"])
    assert sum(o.rejected for o in held) == sum(r.value == b"\xff\x00" for r in lab.sent["t"])


def test_records_without_a_believed_clock_are_counted(lab: Lab) -> None:
    lab.register()
    for at in (NOW_MS, -1, EARLIEST_MS - 1, NOW_MS + HOUR_MS, NOW_MS + HOUR_MS + 1, EARLIEST_MS):
        lab.send({"n": at}, at_ms=at)
    (commit,) = lab.dump()
    assert commit.misfiled == 3
    windows = {o.window: o.records for o in commit.objects}
    assert windows == {"2026-11-01-00:00": 4, "2026-11-01-01:00": 1, "2020-01-01-00:00": 1}
    check(lab, [commit])


def test_many_lines_are_compressed_as_they_come(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushed by size, by the number of lines of one object, and at the end: all of it arrives."""
    monkeypatch.setattr(raw_slice, "_FLUSH_LINES", 7)
    monkeypatch.setattr(raw_slice, "_FLUSH_BYTES", 4_000)
    lab.register(partitions=2)
    for n in range(100):
        lab.send({"n": n, "pad": "x" * n}, partition=n % 2, at_ms=lab.now_ms - n * HOUR_MS // 10)
    check(lab, lab.dump())


def test_an_object_is_full_when_it_is_as_large_as_it_may_be(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_slice, "_FLUSH_LINES", 1)
    lab.register()
    lab.send_all({"n": n % 10} for n in range(7))
    (whole,) = lab.dump()
    seven = whole.raw_bytes
    for roll_bytes, objects in ((seven, 2), (seven + 1, 1)):
        table = f"t{objects}"
        lab.register(table)
        lab.send_all(({"n": n % 10} for n in range(14)), table=table)
        lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1_000, roll_bytes))
        (commit,) = lab.dump(table)
        assert [o.records for o in commit.objects] == [14 // objects] * objects
        assert list(commit.objects) == [described(lab.store, o) for o in commit.objects]


@pytest.mark.parametrize("bound", ["records", "bytes", "buffers"])
def test_a_slice_ends_once_it_is_as_large_as_it_may_be(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    lab.register()
    lab.send_all(({"n": n % 10} for n in range(7)), at_ms=NOW_MS)
    lab.send_all(({"n": n % 10} for n in range(7)), at_ms=NOW_MS + HOUR_MS)
    (whole,) = lab.dump()
    first = whole.objects[0].raw_bytes
    if bound == "buffers":
        monkeypatch.setattr(raw_slice, "_MAX_BUFFERS", 1)
    most = {"records": Slice(1 << 20, 7), "bytes": Slice(first, 1_000)}.get(bound, lab.limits.slice)
    more = {"records": Slice(1 << 20, 8), "bytes": Slice(first + 1, 1_000)}.get(bound)
    for limits, slices in ((most, 2), (more, 1)):
        if limits is not None:
            table = f"t{slices}"
            lab.register(table)
            lab.send_all(({"n": n % 10} for n in range(7)), table=table, at_ms=NOW_MS)
            lab.send_all(({"n": n % 10} for n in range(7)), table=table, at_ms=NOW_MS + HOUR_MS)
            lab.limits = replace(lab.limits, slice=limits)
            assert len(lab.dump(table)) == slices

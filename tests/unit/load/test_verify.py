"""Holding applied windows against their commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lake_platform.load.results import WindowReport
from lake_platform.load.verify import verify_windows
from lake_platform.raw import log as raw_log
from tests.cleaner_support import filled, log
from tests.support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = filled(tmp_path)
    yield lab
    lab.close()


WINDOW = "2026-11-01-00:00"


def test_a_sound_window(lab: Lab) -> None:
    report = next(verify_windows("t", lab.ports(), [WINDOW]))
    size = sum(c.raw_bytes for c in log(lab))
    assert report == WindowReport("t", WINDOW, objects=12, records=12, raw_bytes=size, applied=True)


def test_not_applied_yet(lab: Lab) -> None:
    lab.send({"n": 1})
    lab.dump()
    assert not next(verify_windows("t", lab.ports(), [WINDOW])).applied


def test_an_unknown_window_is_empty(lab: Lab) -> None:
    assert next(verify_windows("t", lab.ports(), ["2020-01-01-00:00"])).objects == 0


@pytest.mark.parametrize("damage", ["gone", "changed", "truncated"])
def test_damage_is_named(lab: Lab, damage: str) -> None:
    key = log(lab)[3].objects[0].key
    if damage == "gone":
        lab.store.delete([key])
    else:
        data = lab.store.get(key)
        lab.store.put(key, data[:-5] if damage == "truncated" else data + b"x")
    (problem,) = next(verify_windows("t", lab.ports(), [WINDOW])).problems
    assert key in problem


def test_a_digest_that_is_not_that_of_the_offsets_is_named(lab: Lab) -> None:
    commit = log(lab)[3]
    raw = replace(commit.objects[0], offset_sum=commit.objects[0].offset_sum + 1)
    other = replace(commit, objects=(raw,)).to_bytes()
    lab.store.put(raw_log.commit_key("t", commit.seq), other)
    (problem,) = next(verify_windows("t", lab.ports(), [WINDOW])).problems
    assert problem == f"raw object {raw.key!r}: offset digest differs"

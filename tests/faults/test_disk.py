"""A full disk under the storage and under the metastore, and what is left of a write that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lake_platform.adapters.storage.object_store import open_store
from tests.faults import disk
from tests.faults.life import Life

_SIZE = 1 << 20
# Puts the same key over and over, each time all of one byte.
_WRITER = """
import sys
from lake_platform.adapters.storage.object_store import open_store
store, number = open_store(sys.argv[1]), 0
while True:
    number += 1
    store.put("k/object", bytes([number % 256]) * int(sys.argv[2]))
    if number == 2:
        print("going", flush=True)
"""
needs_mount = pytest.mark.skipif(
    not disk.can_mount(), reason="this machine lets no process mount a tmpfs (unshare -Urm)"
)


@needs_mount
@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "phase", "mode"),
    [("storage", "dump", "append"), ("storage", "load", "upsert"), ("storage", "clean", "append"),
     ("metastore", "dump", "upsert"), ("metastore", "load", "append")],
)  # fmt: skip
def test_full_at_every_page(place: str, phase: str, mode: str) -> None:
    met = disk.in_small_disk(place, phase, mode)
    failed = [m for m in met if m.error]
    assert failed
    assert not met[-1].error
    named = "/small/storage" if place == "storage" else "/small/metastore.db"
    assert all(named in m.error for m in failed)


@pytest.mark.slow
def test_readers_of_a_file_see_whole_objects_and_a_kill_leaves_whole_ones(tmp_path: Path) -> None:
    """The local store writes beside the object and renames, so a half one never has its name."""
    argv = [sys.executable, "-c", _WRITER, tmp_path.as_uri(), str(_SIZE)]
    seen = set()
    for _ in range(3):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "going\n"
            for _ in range(50):
                seen |= {whole(tmp_path / "k/object")}
            os.kill(writer.pid, signal.SIGKILL)
        whole(tmp_path / "k/object")
        assert [i.key for i in open_store(tmp_path.as_uri()).list("k/")] == ["k/object"]
    assert len(seen) > 1, "the writer never wrote while we read"


def whole(path: Path) -> int:
    """The byte that all of the object is."""
    data = path.read_bytes()
    assert len(data) == _SIZE
    assert len(set(data)) == 1, "two writes are mixed"
    return data[0]


def test_what_a_killed_write_left_is_no_object(tmp_path: Path) -> None:
    """Its temporary file has a name that the store gives to no key: neither log nor cleaner see
    it."""
    store = open_store((tmp_path / "storage").as_uri())
    life = Life(tmp_path, "append", store, store)
    life.prepare("load")
    (raw, *_) = list(store.list("raw/"))
    left = tmp_path / "storage" / f"{raw.key}#1"
    left.write_bytes(b"half of it")
    assert left.name not in {i.key.rsplit("/", 1)[1] for i in store.list("raw/")}
    life.recover("load", another=True)
    life.account()
    life.lab.close()

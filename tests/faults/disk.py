"""A disk that is full at every k-th page.

`python -m tests.faults.disk DISK PLACE PHASE MODE [PAGES]` runs inside a tmpfs of its own, which
`in_small_disk` mounts in a namespace that ends with the process.

PLACE is what lies on the small disk: the storage, or the metastore.
"""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.errors import LakeError, MetastoreUnavailableError, StorageUnavailableError
from tests.faults.clear import check_clear
from tests.faults.life import Life

PLACES = ("storage", "metastore")
_PAGE = 4096
_SIZE = "24m"
EXPECTED = {"storage": StorageUnavailableError, "metastore": MetastoreUnavailableError}
_MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Full:
    """What the pages that were left did to a phase; `error` is empty when they were enough."""

    place: str
    phase: str
    mode: str
    pages: int
    error: str

    def to_line(self) -> str:
        return json.dumps([self.place, self.phase, self.mode, self.pages, self.error])


def can_mount() -> bool:
    """Whether this machine lets a process mount a tmpfs of its own."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(_command(folder, "true"), capture_output=True, check=False)
    return tried.returncode == 0


def in_small_disk(place: str, phase: str, mode: str, pages: int | None = None) -> list[Full]:
    """With `pages` left; without it with 0, 1, 2 ... until that is enough.

    Raises: AssertionError with what the child complained of.
    """
    with tempfile.TemporaryDirectory(prefix="lake-full-") as folder:
        argv = [sys.executable, "-m", "tests.faults.disk", folder, place, phase, mode]
        argv += [] if pages is None else [str(pages)]
        done = subprocess.run(
            _command(folder, *argv), capture_output=True, text=True, timeout=280, check=False
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    return [Full(*json.loads(line)) for line in done.stdout.splitlines()]


def _command(folder: str, *argv: str) -> list[str]:
    return ["unshare", "-Urm", "sh", "-c", _MOUNT, "sh", _SIZE, folder, *argv]


def fill(disk: Path, place: str, phase: str, mode: str) -> Iterator[Full]:
    """The phase with 0, 1, 2 ... pages left, until that is enough; each time a life of its own."""
    for pages in itertools.count():
        full = meet(disk, place, phase, mode, pages)
        yield full
        if not full.error:
            return


def meet(disk: Path, place: str, phase: str, mode: str, pages: int) -> Full:
    """Raises: AssertionError."""
    with tempfile.TemporaryDirectory() as elsewhere:
        return _meet(disk, Path(elsewhere), place, phase, mode, pages)


def _meet(disk: Path, elsewhere: Path, place: str, phase: str, mode: str, pages: int) -> Full:
    small, ballast = disk / "small", disk / "ballast"
    home, storage = (elsewhere, small) if place == "storage" else (small, elsewhere)
    small.mkdir()
    store = open_store((storage / "storage").as_uri())
    life, error = Life(home, mode, store, store), ""
    try:
        life.prepare(phase)
        _leave(disk, ballast, pages)
        try:
            life.act(phase)
        except LakeError as caught:
            check_clear(caught)
            assert isinstance(caught, EXPECTED[place]), caught
            assert "make space" in str(caught), caught
            error = str(caught)
        check_whole(storage)
        ballast.unlink()
        life.recover(phase, another=pages % 2 == 0)
        life.account()
    finally:
        life.lab.close()
        ballast.unlink(missing_ok=True)
        shutil.rmtree(small)
    return Full(place, phase, mode, pages, error)


def _leave(disk: Path, ballast: Path, pages: int) -> None:
    """Fills the disk but for `pages`."""
    free = shutil.disk_usage(disk).free // _PAGE
    with ballast.open("wb") as out:
        for _ in range(free - pages):
            out.write(b"\0" * _PAGE)
    assert shutil.disk_usage(disk).free // _PAGE == pages


def check_whole(storage: Path) -> None:
    """No object is a part of what was written, whether the log names it or not."""
    for path in (p for p in storage.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".gz" and data != b"left by a dump that died":
            gzip.decompress(data)
        elif path.suffix == ".json":
            json.loads(data)


if __name__ == "__main__":
    # stdout is read line by line
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    root, place, phase, mode, *left = sys.argv[1:]
    each = (meet(Path(root), place, phase, mode, int(n)) for n in left)
    for found in each if left else fill(Path(root), place, phase, mode):
        print(found.to_line(), flush=True)

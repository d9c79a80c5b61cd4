"""The jars Kafka and Spark need: which ones, where they lie, proof that they are the right ones.

`jars.lock` names every jar of every set with its sha256. A set is fetched into a temporary
directory, checked, and renamed into place, so a set directory is always complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from lake_platform.embedded.ivy import Coordinate, Ivy, RepositoryUnreachableError
from lake_platform.embedded.java import java_home
from lake_platform.errors import SetupError

DEFAULT_SETS = ("kafka", "spark", "connect")
_COMPLETE = ".complete"
_ATTEMPTS = 4
WAIT_SECONDS = 1.0  # before the second attempt; doubles


@dataclass(frozen=True)
class Lock:
    """sha256 of every jar, by set."""

    sets: Mapping[str, Mapping[Coordinate, str]]

    @classmethod
    def parse(cls, text: str) -> Lock:
        sets = tomllib.loads(text)
        return cls(
            {
                name: {Coordinate.parse(jar): sha256 for jar, sha256 in jars.items()}
                for name, jars in sets.items()
            }
        )

    @classmethod
    def shipped(cls) -> Lock:
        return cls.parse(files(__package__).joinpath("jars.lock").read_text())

    def of(self, name: str) -> Mapping[Coordinate, str]:
        if name not in self.sets:
            known = ", ".join(self.sets)
            raise SetupError(f"there is no jar set {name!r}; known sets: {known}")
        return self.sets[name]


@dataclass(frozen=True)
class SetReport:
    """What `ensure_set` did for one set."""

    name: str
    directory: Path
    jars: int
    size_bytes: int
    fetched: bool


def ensure_jars(
    root: Path,
    names: Sequence[str] = DEFAULT_SETS,
    *,
    lock: Lock | None = None,
    environ: Mapping[str, str] | None = None,
    on_fetch: Callable[[str, int], None] = lambda _name, _jars: None,
) -> list[SetReport]:
    """Make the sets complete under `root/<set>/`; a complete set costs milliseconds.

    `on_fetch(set, number of jars)` is called before a set is fetched.

    Raises:
        SetupError: an unknown set, no Java, or a jar that is not the locked one.
        RepositoryUnreachableError: the repository could not be reached after several attempts.
    """
    lock = lock or Lock.shipped()
    environ = os.environ if environ is None else environ
    return [_ensure_set(root, name, lock.of(name), environ, on_fetch) for name in names]


def _ensure_set(
    root: Path,
    name: str,
    jars: Mapping[Coordinate, str],
    environ: Mapping[str, str],
    on_fetch: Callable[[str, int], None],
) -> SetReport:
    directory = root / name
    fetched = False
    if not is_complete(directory, jars):
        with exclusive(root):
            # Another process may have fetched it, and jars without our mark need only a check.
            if not is_complete(directory, jars):
                fetched = not _adopt(directory, jars)
                if fetched:
                    on_fetch(name, len(jars))
                    _fetch(root, name, jars, environ)
    size = sum((directory / jar.file_name).stat().st_size for jar in jars)
    return SetReport(name, directory, len(jars), size, fetched)


def is_complete(directory: Path, jars: Mapping[Coordinate, str]) -> bool:
    """True when the directory was verified against these hashes and no file changed since."""
    try:
        mark = json.loads((directory / _COMPLETE).read_text())
        return bool(mark == _fingerprint(directory, jars))
    except (OSError, ValueError):
        return False


def verify(directory: Path, jars: Mapping[Coordinate, str]) -> None:
    """Compare every jar with its locked sha256; a jar that differs is removed.

    Raises:
        SetupError: names the first jar that is not the locked one.
    """
    for jar, expected in jars.items():
        path = directory / jar.file_name
        with path.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
        if actual != expected:
            path.unlink()
            raise SetupError(
                f"jar {jar.file_name} has sha256 {actual}, jars.lock says {expected}: it was "
                f"changed on the way or on disk. It was removed; run `lake jars` again, and if it "
                f"comes back the same, do not use that repository"
            )


def _adopt(directory: Path, jars: Mapping[Coordinate, str]) -> bool:
    """Mark a directory that already holds every jar (a copy, a cache), after checking them."""
    if not all((directory / jar.file_name).is_file() for jar in jars):
        return False
    verify(directory, jars)
    _mark(directory, jars)
    return True


def _fetch(
    root: Path, name: str, jars: Mapping[Coordinate, str], environ: Mapping[str, str]
) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    try:
        fresh = work / name
        fresh.mkdir()
        _retrieve(Ivy(java_home(environ), work / "ivy", environ), jars, work / "in", fresh)
        verify(fresh, jars)
        _mark(fresh, jars)
        _replace(root / name, fresh, work / "old")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _retrieve(ivy: Ivy, jars: Mapping[Coordinate, str], inbox: Path, fresh: Path) -> None:
    """Fetch with retries: Ivy keeps what it has, so an attempt goes on where the last stopped."""
    retrying = Retrying(
        retry=retry_if_exception_type(RepositoryUnreachableError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=WAIT_SECONDS, max=10),
        reraise=True,
    )
    try:
        found = retrying(ivy.retrieve, list(jars), inbox)
    except RepositoryUnreachableError as error:
        raise RepositoryUnreachableError(
            f"the jars could not be fetched after {_ATTEMPTS} attempts ({error}); check the "
            f"network, HTTPS_PROXY and SSL_CERT_FILE, then run `lake jars` again"
        ) from None
    for jar in jars:
        if jar not in found:
            raise SetupError(f"Ivy did not deliver {jar}; run `lake jars` again")
        found[jar].rename(fresh / jar.file_name)


def _replace(directory: Path, fresh: Path, old: Path) -> None:
    if directory.exists():
        directory.rename(old)
    fresh.rename(directory)


def _mark(directory: Path, jars: Mapping[Coordinate, str]) -> None:
    (directory / _COMPLETE).write_text(json.dumps(_fingerprint(directory, jars)))


def _fingerprint(directory: Path, jars: Mapping[Coordinate, str]) -> dict[str, list[object]]:
    marks: dict[str, list[object]] = {}
    for jar, sha256 in jars.items():
        stat = (directory / jar.file_name).stat()
        marks[str(jar)] = [sha256, stat.st_size, stat.st_mtime_ns]
    return marks


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """One at a time that writes under `root`; the lock goes away with its process."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

"""Jars: only what jars.lock says is ever used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from lake_platform.embedded import jars as subject
from lake_platform.embedded.ivy import Coordinate, Ivy, RepositoryUnreachableError, reason_of
from lake_platform.embedded.jars import Lock, ensure_jars, is_complete, verify
from lake_platform.embedded.relock import ROOTS
from lake_platform.errors import SetupError

_JAR = Coordinate.parse("org.example:thing_2.12:1.0")
_OTHER = Coordinate.parse("org.example:other:2.0")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def lock() -> Lock:
    return Lock({"demo": {_JAR: _sha256(b"thing"), _OTHER: _sha256(b"other")}})


class _Repository:
    """Stands in for Ivy: delivers the bytes it was given, fails as often as told."""

    def __init__(self, content: dict[Coordinate, bytes], failures: int = 0) -> None:
        self.content, self.failures, self.calls = content, failures, 0

    def retrieve(
        self, wanted: Sequence[Coordinate], target: Path, *, transitive: bool = False
    ) -> dict[Coordinate, Path]:
        assert not transitive
        self.calls += 1
        if self.calls <= self.failures:
            raise RepositoryUnreachableError("connection refused")
        target.mkdir(exist_ok=True)
        for jar in wanted:
            (target / jar.file_name).write_bytes(self.content[jar])
        return {jar: target / jar.file_name for jar in wanted}


def _serve(monkeypatch: pytest.MonkeyPatch, repository: _Repository) -> _Repository:
    def retrieve(
        _self: Ivy, wanted: Sequence[Coordinate], target: Path, *, transitive: bool = False
    ) -> dict[Coordinate, Path]:
        return repository.retrieve(wanted, target, transitive=transitive)

    monkeypatch.setattr(Ivy, "retrieve", retrieve)
    monkeypatch.setattr(subject, "WAIT_SECONDS", 0.0)
    return repository


_GOOD = {_JAR: b"thing", _OTHER: b"other"}


def test_a_set_is_fetched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Lock) -> None:
    repository = _serve(monkeypatch, _Repository(_GOOD))
    [first] = ensure_jars(tmp_path, ["demo"], lock=lock)
    [second] = ensure_jars(tmp_path, ["demo"], lock=lock)
    assert (first.fetched, second.fetched, repository.calls) == (True, False, 1)
    assert (first.jars, first.size_bytes) == (2, 10)
    assert sorted(path.name for path in (tmp_path / "demo").glob("*.jar")) == [
        "other-2.0.jar",
        "thing_2.12-1.0.jar",
    ]


def test_a_wrong_jar_is_named_and_never_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Lock
) -> None:
    _serve(monkeypatch, _Repository(_GOOD | {_OTHER: b"evil"}))
    with pytest.raises(SetupError, match=r"jar other-2\.0\.jar has sha256 .* jars\.lock says"):
        ensure_jars(tmp_path, ["demo"], lock=lock)
    assert not (tmp_path / "demo").exists()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_jar_changed_on_disk_is_removed_and_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Lock
) -> None:
    _serve(monkeypatch, _Repository(_GOOD))
    ensure_jars(tmp_path, ["demo"], lock=lock)
    changed = tmp_path / "demo" / _JAR.file_name
    changed.write_bytes(b"THING")
    with pytest.raises(SetupError, match=r"thing_2\.12-1\.0\.jar"):
        ensure_jars(tmp_path, ["demo"], lock=lock)
    assert not changed.exists()
    [report] = ensure_jars(tmp_path, ["demo"], lock=lock)
    assert report.fetched
    assert changed.read_bytes() == b"thing"


def test_a_new_lock_replaces_the_old_jars(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Lock
) -> None:
    newer = Coordinate.parse("org.example:thing_2.12:1.1")
    _serve(monkeypatch, _Repository(_GOOD | {newer: b"newer"}))
    ensure_jars(tmp_path, ["demo"], lock=lock)
    ensure_jars(tmp_path, ["demo"], lock=Lock({"demo": {newer: _sha256(b"newer")}}))
    assert [path.name for path in (tmp_path / "demo").glob("*.jar")] == [newer.file_name]


def test_a_copied_directory_is_checked_and_taken(tmp_path: Path, lock: Lock) -> None:
    directory = tmp_path / "demo"
    directory.mkdir()
    for jar, content in _GOOD.items():
        (directory / jar.file_name).write_bytes(content)
    assert not is_complete(directory, lock.of("demo"))
    [report] = ensure_jars(tmp_path, ["demo"], lock=lock)
    assert not report.fetched
    assert is_complete(directory, lock.of("demo"))


def test_a_short_outage_is_waited_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Lock
) -> None:
    repository = _serve(monkeypatch, _Repository(_GOOD, failures=2))
    assert ensure_jars(tmp_path, ["demo"], lock=lock)[0].fetched
    assert repository.calls == 3


def test_an_unreachable_repository_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Lock
) -> None:
    _serve(monkeypatch, _Repository(_GOOD, failures=100))
    with pytest.raises(
        RepositoryUnreachableError, match=r"connection refused.*HTTPS_PROXY.*lake jars"
    ):
        ensure_jars(tmp_path, ["demo"], lock=lock)
    assert not (tmp_path / "demo").exists()


def test_an_unknown_set_is_named(tmp_path: Path, lock: Lock) -> None:
    with pytest.raises(SetupError, match="no jar set 'nope'; known sets: demo"):
        ensure_jars(tmp_path, ["nope"], lock=lock)


def test_verify_says_which_jar(tmp_path: Path) -> None:
    (tmp_path / _JAR.file_name).write_bytes(b"x")
    with pytest.raises(SetupError, match=_sha256(b"x")):
        verify(tmp_path, {_JAR: _sha256(b"y")})


def test_the_shipped_lock_has_every_set_and_root() -> None:
    lock = Lock.shipped()
    assert set(lock.sets) == set(ROOTS)
    for name, roots in ROOTS.items():
        jars = lock.of(name)
        assert {Coordinate.parse(root) for root in roots.jars} <= set(jars)
        assert all(len(sha256) == 64 for sha256 in jars.values())
        # Two revisions of one jar on a class path: which one wins would be luck.
        assert len({(jar.organisation, jar.name) for jar in jars}) == len(jars)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "Server access error at url https://host/x.jar (java.net.ConnectException: refused)",
            "https://host/x.jar: java.net.ConnectException: refused",
        ),
        ("\t\tmodule not found: org.a#b;1\n", "org.a#b;1"),
        ("", "Ivy said nothing"),
    ],
)
def test_what_ivy_says_is_shortened(output: str, expected: str) -> None:
    assert reason_of(output) == expected

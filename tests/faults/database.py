"""A metastore that goes away at the k-th call of a phase, and comes back after it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.errors import LakeError, MetastoreUnavailableError
from lake_platform.metastore import engine as metastore_engine
from lake_platform.metastore.repository import Repository
from tests.faults.clear import check_clear
from tests.faults.life import Life

_BUSY_MILLISECONDS = 200  # instead of 15 seconds; whoever holds the lock keeps it for longer
_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
_VICTIM = "lake-fault"
NEVER = 1 << 30
Outage = Callable[[Life], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def locked(life: Life) -> Iterator[None]:
    """Another process is inside a write, and stays there."""
    argv = [sys.executable, "-c", _HOLDER, str(_file(life))]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate(timeout=20)
    assert holder.returncode == 0


@contextlib.contextmanager
def unreadable(life: Life) -> Iterator[None]:
    """The file cannot be opened: what SQLite says of a missing right, too (root has them all)."""
    with _aside(life) as path:
        path.mkdir()
        yield
        path.rmdir()


@contextlib.contextmanager
def overwritten(life: Life) -> Iterator[None]:
    """Something else is at its place."""
    with _aside(life) as path:
        path.write_text("no database, but more than a hundred characters of text, " * 20)
        yield
        path.unlink()


OUTAGES: dict[str, Outage] = {
    "locked by another process": locked, "cannot be opened": unreadable,
    "another file in its place": overwritten,
}  # fmt: skip


@dataclass
class Going:
    """A metastore whose `at`-th call (from 1) finds it gone; every call after it too."""

    life: Life
    outage: Outage
    at: int
    seen: int = 0

    def __post_init__(self) -> None:
        self._inner: Repository = self.life.lab.metastore
        self._stack = contextlib.ExitStack()

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.seen += 1
            if self.seen == self.at:
                self._stack.enter_context(self.outage(self.life))
            return inner(*args, **kwargs)

        return call

    def come_back(self) -> None:
        self._stack.close()


def run(home: Path, phase: str, mode: str, how: str, at: int) -> tuple[str, int]:
    """What surfaced ("" when nothing did), and how many calls were made.

    Raises: AssertionError.
    """
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metastore_engine, "_BUSY_MILLISECONDS", _BUSY_MILLISECONDS)
        store = open_store((home / "storage").as_uri())
        life = Life(home, mode, store, store)
        try:
            life.prepare(phase)
            going = Going(life, OUTAGES[how], at)
            try:
                error = surfaced(lambda: life.act(phase, metastore=going))
            finally:
                going.come_back()
            life.recover(phase, another=at % 2 == 0)
            life.account()
        finally:
            life.lab.close()
    return error, going.seen


def run_killed(url: str, home: Path, phase: str, mode: str, at: int) -> tuple[str, int]:
    """PostgreSQL: the server ends our connections right before the `at`-th statement or COMMIT."""
    home.mkdir(exist_ok=True)
    store = open_store((home / "storage").as_uri())
    named = make_url(url).update_query_dict({"application_name": _VICTIM})
    life = Life(home, mode, store, store, named.render_as_string(hide_password=False))
    seen = 0
    try:
        life.prepare(phase)
        with _before_statements(life.lab.metastore._engine, url, at) as counted:
            error = surfaced(lambda: life.act(phase))
            seen = counted[0]
        life.recover(phase, another=at % 2 == 0)
        life.account()
    finally:
        life.lab.close()
    return error, seen


def surfaced(act: Callable[[], object]) -> str:
    try:
        act()
    except LakeError as caught:
        check_clear(caught)
        assert isinstance(caught, MetastoreUnavailableError), caught
        return str(caught)
    return ""


@contextlib.contextmanager
def _before_statements(engine: Engine, url: str, at: int) -> Iterator[list[int]]:
    admin = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    counted = [0]

    def kill(*_: object) -> None:
        counted[0] += 1
        if counted[0] == at:
            with admin.begin() as connection:
                connection.execute(text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE application_name = :name"
                ), {"name": _VICTIM})  # fmt: skip

    moments = ("before_cursor_execute", "commit")
    for moment in moments:
        event.listen(engine, moment, kill)
    try:
        yield counted
    finally:
        for moment in moments:
            event.remove(engine, moment, kill)
        admin.dispose()


def _file(life: Life) -> Path:
    return life.home / "metastore.db"


@contextlib.contextmanager
def _aside(life: Life) -> Iterator[Path]:
    """The database's files are elsewhere; nobody has them open any more."""
    life.lab.metastore.close()
    path, aside = _file(life), life.home / "aside"
    aside.mkdir()
    for part in life.home.glob("metastore.db*"):
        part.rename(aside / part.name)
    try:
        yield path
    finally:
        life.lab.metastore.close()
        for part in aside.iterdir():
            part.rename(life.home / part.name)
        aside.rmdir()

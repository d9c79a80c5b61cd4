"""How long a dead endpoint takes to be an error, with the waits of production."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import StorageUnavailableError
from tests.faults.clear import check_clear
from tests.faults.kinds import SILENT
from tests.faults.proxy import FaultProxy

LONGEST_SECONDS = 60.0
_SECRET = "canary-of-a-dead-endpoint"
CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "get": lambda s: s.get("k"), "head": lambda s: s.head("k"), "list": lambda s: s.list("k"),
    "put": lambda s: s.put("k", b"x"), "put_new": lambda s: s.put_new("k", b"x"),
    "delete": lambda s: s.delete(["k"]), "move": lambda s: s.move("k", "l"),
}  # fmt: skip


@dataclass(frozen=True)
class Death:
    """`seconds` of the slowest call."""

    how: str
    call: str
    seconds: float


@contextlib.contextmanager
def refused() -> Iterator[int]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        yield closed.getsockname()[1]


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Takes the request and never answers."""
    proxy = FaultProxy(("127.0.0.1", 1))
    proxy.start()
    try:
        with proxy.rule(SILENT):
            yield proxy.port
    finally:
        proxy.stop()


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Takes no connection: the queue of this socket is full, so the kernel drops what comes."""
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        yield full.getsockname()[1]


DEATHS = {
    "connection refused": refused, "takes requests, never answers": silent,
    "takes no connection": unreachable,
}  # fmt: skip


def measure(how: str) -> Death:
    """All calls at once. Raises: AssertionError for an error that is not clear, or a hang."""
    with DEATHS[how]() as port, ThreadPoolExecutor(len(CALLS)) as pool:
        store = _store(port)
        taken = dict(zip(CALLS, pool.map(lambda act: _seconds(act, store), CALLS.values()),
                         strict=True))  # fmt: skip
    slowest = max(taken, key=lambda name: taken[name])
    assert taken[slowest] < LONGEST_SECONDS, f"{slowest} took {taken[slowest]:.0f} s"
    return Death(how, slowest, round(taken[slowest], 1))


def _store(port: int) -> ObjectStore:
    options = {"endpoint": f"http://127.0.0.1:{port}", "access_key_id": "x",
               "secret_access_key": _SECRET, "region": "us-east-1"}  # fmt: skip
    return open_store("s3://bucket/x", options)


def _seconds(act: Callable[[ObjectStore], object], store: ObjectStore) -> float:
    began = time.monotonic()
    try:
        act(store)
    except StorageUnavailableError as error:
        check_clear(error, _SECRET)
    else:
        raise AssertionError("a dead endpoint answered")
    return time.monotonic() - began

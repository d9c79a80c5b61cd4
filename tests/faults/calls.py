"""Each call of the ObjectStore port under each fault: it does what it promises, or says that it may
not have, and doing it again settles it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import StorageUnavailableError
from tests.faults.clear import check_clear
from tests.faults.kinds import GRID, Kind
from tests.faults.s3 import BURST_NAMES, Outcome, Site, bursts

OLD, NEW = b"old" * 50, b"new" * 60
_BIG = 6_000_000  # more than obstore puts in one request
_MOST_REQUESTS = 5


@dataclass(frozen=True)
class Call:
    """`act` under the fault, `settled` tells by the sound store whether it is done. Before it
    `k/old` is there with OLD. `again` is what a caller does after an error."""

    name: str
    act: Callable[[ObjectStore], object]
    settled: Callable[[ObjectStore], bool]
    again: Callable[[ObjectStore], object] | None = None


def _move_again(store: ObjectStore) -> None:
    """The first try may have moved it: then the source is not there, as the port says."""
    try:
        store.move("k/old", "k/new")
    except KeyError:
        assert store.head("k/new") is not None


def _read(store: ObjectStore) -> None:
    assert store.get("k/old") == OLD


def _listed(store: ObjectStore) -> None:
    assert [i.key for i in store.list("k/")] == ["k/old"]


def _sized(store: ObjectStore) -> None:
    info = store.head("k/old")
    assert info is not None
    assert info.size == len(OLD)


def _holds(key: str, data: bytes) -> Callable[[ObjectStore], bool]:
    return lambda store: store.head(key) is not None and store.get(key) == data


def _unchanged(store: ObjectStore) -> bool:
    return store.get("k/old") == OLD


BIG = os.urandom(_BIG)
CALLS = (
    Call("get", _read, _unchanged),
    Call("list", _listed, _unchanged),
    Call("head", _sized, _unchanged),
    Call("put over another", lambda s: s.put("k/old", NEW), _holds("k/old", NEW)),
    Call("put of many parts", lambda s: s.put("k/big", BIG), _holds("k/big", BIG)),
    Call("put_new", lambda s: s.put_new("k/new", NEW), _holds("k/new", NEW)),
    Call("delete", lambda s: s.delete(["k/old"]), lambda s: s.head("k/old") is None),
    Call("move", lambda s: s.move("k/old", "k/new"),
         lambda s: _holds("k/new", OLD)(s) and s.head("k/old") is None, _move_again),
)  # fmt: skip


@dataclass(frozen=True)
class CallCell:
    call: Call
    kind: Kind
    first: int
    count: int

    def __str__(self) -> str:
        burst = BURST_NAMES[self.count]
        return f"call  {self.call.name:18}{self.kind.name:31} at request {self.first}, {burst}"


def cells() -> Iterator[CallCell]:
    for call in CALLS:
        for kind in GRID:
            for first in range(1, _MOST_REQUESTS + 1):
                for count in bursts(kind):
                    yield CallCell(call, kind, first, count)


def run_call(cell: CallCell, site: Site) -> Outcome | None:
    """None when the call has no such request. Raises: AssertionError."""
    faulty, sound = site.stores(uuid.uuid4().hex)
    sound.put("k/old", OLD)
    call, error, began = cell.call, "", time.monotonic()
    with site.proxy.rule(cell.kind, cell.first, cell.count) as rule:
        try:
            call.act(faulty)
        except StorageUnavailableError as caught:
            check_clear(caught, site.secret)
            error = type(caught).__name__
    seconds = time.monotonic() - began
    if not rule.hit:
        return None
    assert error or call.settled(sound), f"{call.name} said it was done, and it is not"
    _check_whole(sound)
    if error:
        (call.again or call.act)(faulty)
    assert call.settled(sound), f"{call.name} was done again, and it is not done"
    return Outcome(tuple(rule.hit), error, round(seconds, 2))


def _check_whole(sound: ObjectStore) -> None:
    """Whatever happened, no object is a part of what was put."""
    for info in sound.list("k/"):
        assert sound.get(info.key) in {OLD, NEW, BIG}, f"{info.key} is half an object"

"""Cells of the grid: one fault at one request of one phase, then a retry and the account."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lake_platform.adapters.storage import object_store
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import LakeError
from tests.faults.clear import check_clear
from tests.faults.kinds import Kind
from tests.faults.life import Life
from tests.faults.proxy import FaultProxy

# Once; as often as the client tries one call, so the next call gets through; until the end.
BURSTS = (1, 5, 1 << 30)
BURST_NAMES = dict(zip(BURSTS, ("once", "five times", "until the end"), strict=True))
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    """A real S3 server with a proxy in front of it."""

    proxy: FaultProxy
    url: str
    options: dict[str, str]

    def stores(self, prefix: str) -> tuple[ObjectStore, ObjectStore]:
        """The same place through the proxy and past it."""
        root = f"{self.url}/{prefix}"
        faulty = open_store(root, self.options | {"endpoint": self.proxy.endpoint})
        return faulty, open_store(root, self.options)

    def life(self, home: Path, mode: str) -> Life:
        home.mkdir(parents=True)
        return Life(home, mode, *self.stores(uuid.uuid4().hex))

    @property
    def secret(self) -> str:
        return self.options["secret_access_key"]


@contextlib.contextmanager
def open_site(url: str, options: dict[str, str]) -> Iterator[Site]:
    behind = urlsplit(options["endpoint"])
    proxy = FaultProxy((behind.hostname or "", behind.port or 0))
    proxy.start()
    try:
        yield Site(proxy, url, options)
    finally:
        proxy.stop()


@contextlib.contextmanager
def short_waits() -> Iterator[None]:
    """As many tries as in production, with a tenth of the time between them."""
    seconds = {k: v / 10 for k, v in object_store.RETRY_WAITS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_store, "RETRY_WAITS", seconds)
        yield


@dataclass(frozen=True)
class Cell:
    """`first`: the number of the request, of those that the kind can hit, that meets the fault."""

    phase: str
    mode: str
    kind: Kind
    first: int
    count: int

    def __str__(self) -> str:
        burst = BURST_NAMES[self.count]
        return f"{self.phase:6}{self.mode:7}{self.kind.name:31} at request {self.first:2}, {burst}"


def bursts(kind: Kind) -> tuple[int, ...]:
    """A port that is closed stays so."""
    return BURSTS[-1:] if kind.down else BURSTS


@dataclass(frozen=True)
class Outcome:
    """`hit`: requests that met the fault. `error`: what surfaced, empty when nothing did."""

    hit: tuple[str, ...]
    error: str
    seconds: float


def run(cell: Cell, site: Site, home: Path) -> Outcome:
    """Raises: AssertionError when the error is not clear, the phase took too long, or the account
    does not close."""
    life, error, began = site.life(home, cell.mode), "", 0.0
    try:
        life.prepare(cell.phase)
        began = time.monotonic()
        with site.proxy.rule(cell.kind, cell.first, cell.count) as rule:
            try:
                life.act(cell.phase)
            except Exception as caught:  # whatever comes is judged
                check_clear(caught, site.secret)
                assert isinstance(caught, LakeError)
                error = type(caught).__name__
        seconds = time.monotonic() - began
        assert seconds < _LONGEST_SECONDS, f"took {seconds:.0f} s"
        life.recover(cell.phase, another=cell.first % 2 == 0)
        life.account()
    finally:
        life.lab.close()
    return Outcome(tuple(rule.hit), error, round(seconds, 2))


def requests_of(site: Site, home: Path, phase: str, mode: str, kind: Kind) -> int:
    """How many requests of a phase the kind can hit, counted in a run without any fault."""
    life = site.life(home, mode)
    try:
        life.prepare(phase)
        with site.proxy.rule(kind, first=1 << 30) as rule:
            life.act(phase)
    finally:
        life.lab.close()
    return len(rule.seen)

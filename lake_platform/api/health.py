"""Health: the metastore decides, Kafka and storage are shown beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock
from typing import Any

from lake_platform.api.parts import Parts
from lake_platform.errors import FixConfigError, KafkaDeniedError, LakeError

_WAIT_SECONDS = 2.0
_FRESH_SECONDS = 2.0
_GLANCE_SECONDS = 0.5
_PROBE_TOPIC = "lake-health-probe"  # never created; a broker that says so is there


@dataclass(frozen=True, slots=True)
class PartHealth:
    ok: bool
    seconds: float
    message: str = ""


class Probe:
    """One check that may hang: it runs at most once at a time, whoever asks waits briefly."""

    def __init__(self, check: Callable[[], object], pool: ThreadPoolExecutor) -> None:
        self._check = check
        self._pool = pool
        self._lock = Lock()
        self._running: Future[PartHealth] | None = None
        self._started = 0.0
        self._last: bool | None = None

    def start(self) -> Future[PartHealth]:
        with self._lock:
            now = time.monotonic()
            known = self._running
            if known is not None and (not known.done() or now - self._started < _FRESH_SECONDS):
                return known
            if known is not None:
                self._last = known.result().ok
            self._started = now
            self._running = self._pool.submit(self._run)
            return self._running

    def known(self) -> bool | None:
        """The newest answer; False once the one that is asked for is late."""
        with self._lock:
            if self._running is None:
                return None
            if self._running.done():
                self._last = self._running.result().ok
            elif time.monotonic() - self._started > _WAIT_SECONDS:
                self._last = False
            return self._last

    def _run(self) -> PartHealth:
        began = time.monotonic()
        try:
            self._check()
        except LakeError as error:
            return PartHealth(False, time.monotonic() - began, str(error))
        except Exception as error:  # a health page must say what is wrong, not fail itself
            return PartHealth(False, time.monotonic() - began, f"{type(error).__name__}: {error}")
        return PartHealth(True, time.monotonic() - began)


class Health:
    def __init__(self, parts: Parts) -> None:
        self._pool = ThreadPoolExecutor(3, thread_name_prefix="health")
        self._probes = {
            "metastore": Probe(parts.metastore.ping, self._pool),
            "kafka": Probe(lambda: _reach_kafka(parts), self._pool),
            "storage": Probe(lambda: parts.store.head("health"), self._pool),
        }

    def look(self) -> tuple[bool, dict[str, PartHealth]]:
        """Whether the API can do its work, and each part."""
        asked = {name: probe.start() for name, probe in self._probes.items()}
        wait(asked.values(), _WAIT_SECONDS)
        late = PartHealth(False, _WAIT_SECONDS, f"no answer within {_WAIT_SECONDS:g} s")
        found = {name: f.result() if f.done() else late for name, f in asked.items()}
        return found["metastore"].ok, found

    def reached(self) -> dict[str, bool]:
        """Whether Kafka and storage answer; without one whose answer is still to come. A scrape
        must not wait for what hangs."""
        asked = {name: self._probes[name].start() for name in ("kafka", "storage")}
        wait(asked.values(), _GLANCE_SECONDS)
        found = {name: self._probes[name].known() for name in asked}
        return {name: ok for name, ok in found.items() if ok is not None}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _reach_kafka(parts: Parts) -> None:
    try:
        parts.kafka.describe(_PROBE_TOPIC)
    except (FixConfigError, KafkaDeniedError):
        return  # "no such topic" is an answer, and that nobody may ask for it, too


def status_of(healthy: bool, found: dict[str, PartHealth]) -> dict[str, Any]:
    whole = all(part.ok for part in found.values())
    return {"status": "ok" if whole else "degraded" if healthy else "down"}

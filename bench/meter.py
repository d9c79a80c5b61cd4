"""What a timed section cost: wall seconds, CPU-seconds of this process and its JVM, peak memory."""

from __future__ import annotations

import re
import resource
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil


@dataclass(frozen=True)
class Reading:
    """`elsewhere_cpu_seconds`: what all other processes of the machine used meanwhile, the broker
    among them; it tells a quiet run from a disturbed one. Peaks are since the process started;
    `child_peak_rss_bytes`: of the largest of its processes that ended; `sampled_peak_bytes`: of
    all its processes together, shared pages counted once, 0 where it was not asked for."""

    wall_seconds: float
    cpu_seconds: float
    elsewhere_cpu_seconds: float
    peak_rss_bytes: int
    jvm_peak_rss_bytes: int
    child_peak_rss_bytes: int
    sampled_peak_bytes: int


class Meter:
    """`with Meter() as meter: ...`, then `meter.reading`."""

    reading: Reading

    def __init__(self, *, sampled: bool = False) -> None:
        self._sampler = _Sampler() if sampled else None

    def __enter__(self) -> Self:
        if self._sampler:
            self._sampler.start()
        self._own, self._machine = _own_cpu(), _machine_cpu()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wall = time.perf_counter() - self._started
        own = _own_cpu() - self._own
        if self._sampler:
            self._sampler.stop()
        self.reading = Reading(
            wall_seconds=round(wall, 3),
            cpu_seconds=round(own, 3),
            elsewhere_cpu_seconds=round(max(0.0, _machine_cpu() - self._machine - own), 3),
            peak_rss_bytes=_peak(psutil.Process().pid),
            jvm_peak_rss_bytes=max((_peak(p.pid) for p in _children()), default=0),
            child_peak_rss_bytes=_in_bytes(resource.getrusage(resource.RUSAGE_CHILDREN)),
            sampled_peak_bytes=self._sampler.peak if self._sampler else 0,
        )


class _Sampler(threading.Thread):
    """Looks ten times a second: a peak between two looks is not seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.peak = max(self.peak, sum(map(_memory, (psutil.Process(), *_children()))))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _memory(process: psutil.Process) -> int:
    try:
        used = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(used, "pss", used.rss))


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _own_cpu() -> float:
    total = 0.0
    for process in (psutil.Process(), *_children()):
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
        # Those that ended: processes of a dump; Spark's launcher script ran a JVM of its own
        # before it became the driver.
        total += used.children_user + used.children_system
    return total


def _machine_cpu() -> float:
    used = psutil.cpu_times()
    return sum(used) - used.idle - getattr(used, "iowait", 0.0)


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return _in_bytes(resource.getrusage(resource.RUSAGE_SELF))
    # Not ru_maxrss on Linux: that begins with the memory of the process that forked us.
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def _in_bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024

"""Whether an applied window still is what its commits say: a cheap look at raw, no engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from lake_platform.domain.bundle import Ports
from lake_platform.domain.offsets import RawCommit, RawObject
from lake_platform.errors import CorruptRawError
from lake_platform.load.results import WindowReport
from lake_platform.raw import log as raw_log
from lake_platform.raw.objects import read_lines
from lake_platform.records.conform import head_of

_DIGEST_MODULUS = 1 << 64


def verify_windows(table: str, ports: Ports, windows: Sequence[str]) -> Iterator[WindowReport]:
    """Holds every raw object of each window against its commit: checksum, count, offset digest.

    `applied` is whether all of the window's commits are in the table. Objects that raw retention
    removed are counted and not looked for.
    """
    held: defaultdict[str, list[tuple[RawCommit, RawObject]]] = defaultdict(list)
    for commit in raw_log.of_table(ports.store, ports.metastore.get(table).dataset):
        for raw in commit.objects:
            held[raw.window].append((commit, raw))
    applied_seq = ports.metastore.progress(table).applied_seq
    for window in windows:
        found = held[window]
        kept = [raw for commit, raw in found if not commit.expired_at]
        yield WindowReport(
            table=table,
            window=window,
            objects=len(found),
            records=sum(raw.records for _, raw in found),
            raw_bytes=sum(raw.raw_bytes for _, raw in found),
            applied=all(commit.seq <= applied_seq for commit, _ in found),
            problems=tuple(p for raw in kept if (p := _problem(ports, raw))),
            expired=len(found) - len(kept),
        )


def _problem(ports: Ports, raw: RawObject) -> str:
    try:
        lines = read_lines(ports.store, raw)
    except CorruptRawError as error:
        return str(error)
    digest = sum(head_of(line).offset for line in lines) % _DIGEST_MODULUS
    return "" if digest == raw.offset_sum else f"raw object {raw.key!r}: offset digest differs"

"""Whether an applied window still is what its commits say: a cheap look at raw, no engine."""

from __future__ import annotations

from lake_platform.domain.offsets import RawObject
from lake_platform.errors import CorruptRawError
from lake_platform.ingest import raw_log
from lake_platform.ingest.results import Ports, WindowReport
from lake_platform.ingest.scan import head_of, read_lines

_DIGEST_MODULUS = 1 << 64


def verify_window(table: str, ports: Ports, window: str) -> WindowReport:
    """Holds every raw object of `window` against its commit: checksum, count, offset digest.

    `applied` is whether all of the window's commits are in the table. Objects that raw retention
    removed are counted and not looked for.
    """
    commits = raw_log.commits_after(ports.store, table, 0)
    held = [(c, o) for c in commits for o in c.objects if o.window == window]
    applied_seq = ports.metastore.progress(table).applied_seq
    problems = [p for c, raw in held if not c.expired_at and (p := _problem(ports, raw))]
    return WindowReport(
        table=table,
        window=window,
        objects=len(held),
        records=sum(o.records for _, o in held),
        raw_bytes=sum(o.raw_bytes for _, o in held),
        applied=all(c.seq <= applied_seq for c, _ in held),
        expired=sum(c.expired_at is not None for c, _ in held),
        problems=tuple(problems),
    )


def _problem(ports: Ports, raw: RawObject) -> str:
    try:
        lines = read_lines(ports.store, raw)
    except CorruptRawError as error:
        return str(error)
    digest = sum(head_of(line).offset for line in lines) % _DIGEST_MODULUS
    return "" if digest == raw.offset_sum else f"raw object {raw.key!r}: offset digest differs"

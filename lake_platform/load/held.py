"""What a load would make of the raw commits a table is behind with, and nothing is written."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lake_platform.domain.batches import BatchRange, Claim
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import Metastore
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import QuarantineRatioError, SchemaBlockedError
from lake_platform.load.crew import Decoders
from lake_platform.load.decoded import Decoded, decoded, staging
from lake_platform.load.plan import Loading, Work, fitting
from lake_platform.load.quiet import quiet
from lake_platform.raw import log as raw_log


@dataclass
class Held:
    """Raw commits that wait, and what would come of their records: `rows` in the table, `rescued`
    values by path, `quarantined` records by reason, `deletes`, `dropped` ones. `stops`: why the
    load would stop, at the commits before those that were not looked at."""

    commits: int = 0
    records: int = 0
    bytes: int = 0
    windows: tuple[str, ...] = ()
    rows: int = 0
    deletes: int = 0
    dropped: int = 0
    rescued: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    stops: str = ""
    not_looked_at: int = 0


LookAhead = Callable[[int, Asked], Held]
"""What would come of what is held if an incident were resolved as asked."""


def waiting(table: str, metastore: Metastore, store: ObjectStore) -> list[RawCommit]:
    """Raw commits that are not in the table."""
    dataset, applied = metastore.get(table).dataset, metastore.progress(table).applied_seq
    return list(raw_log.of_table(store, dataset, applied))


def waits(table: str, metastore: Metastore, store: ObjectStore) -> dict[str, Any]:
    """How much there is of them, as JSON has it."""
    found = asdict(amount(waiting(table, metastore, store)))
    return {name: found[name] for name in ("commits", "records", "bytes", "windows")}


def amount(commits: Sequence[RawCommit]) -> Held:
    """How much there is, of which nothing was looked at."""
    return Held(
        not_looked_at=len(commits),
        commits=len(commits),
        records=sum(c.records for c in commits),
        bytes=sum(c.raw_bytes for c in commits),
        windows=tuple(sorted({w for c in commits for w in c.windows})),
    )


def begun(new: str, table: str, ports: Ports) -> Held:
    """What table `new` would begin with; its schema comes of it, so no record can break it."""
    found = amount(waiting(table, ports.metastore, ports.store))
    if new:
        found.changes = [f"table {new} begins with these, {table} ends before them"]
    return found


def look(
    dataset: Dataset,
    active: SchemaVersion,
    ports: Ports,
    limits: Limits,
    decisions: Sequence[Decision],
) -> Held:
    """As the next loads would, batch by batch, with this definition and schema, and `decisions`
    besides those on record. Steps are not run.

    Raises: CorruptRawError, EngineError, StorageUnavailableError.
    """
    commits = waiting(dataset.table, ports.metastore, ports.store)
    found = amount(commits)
    known = ports.metastore.decisions(dataset.table)
    new = [replace(d, id=len(known) + n) for n, d in enumerate(decisions, len(known) + 1)]
    looking = replace(ports, metastore=quiet(ports.metastore))
    with Decoders(dataset.table, ports.store, ports.pool) as decoders:
        loading = Loading(dataset, looking, limits, decoders, (*known, *new))
        while commits and not found.stops:
            batch = tuple(fitting(commits, limits.batch_bytes))
            commits = commits[len(batch) :]
            found.not_looked_at = len(commits)
            try:
                active = _add(found, _decoded(loading, batch, active))
            except (SchemaBlockedError, QuarantineRatioError) as error:
                found.stops = str(error)
    return found


def _decoded(loading: Loading, batch: tuple[RawCommit, ...], active: SchemaVersion) -> Decoded:
    ports = loading.ports
    covered = BatchRange(batch[0].seq, batch[-1].seq)
    nonce = f"look-{uuid.uuid4().hex[:12]}"
    claim = Claim(0, nonce, covered, ports.workers.me(), ports.clock(), replay=False)
    try:
        return decoded(
            loading, claim, Work(batch, batch[-1].seq, replay=False), active, fresh=False
        )
    finally:
        store = ports.store
        store.delete([i.key for i in store.list(staging(loading.table, claim))])


def _add(found: Held, batch: Decoded) -> SchemaVersion:
    report = batch.staged.report
    found.rows += sum(f.rows for f in batch.staged.files)
    found.deletes += len(report.deletes)
    found.dropped += report.dropped
    found.rescued = dict(Counter(found.rescued) + Counter(report.rescued_counts))
    found.quarantined = dict(Counter(found.quarantined) + Counter(report.by_reason))
    found.changes += map(str, batch.changes)
    return batch.schema

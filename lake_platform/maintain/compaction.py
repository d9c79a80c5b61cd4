"""Compaction: what loads left in log files becomes base files, under a claim of its own, so that no
load writes meanwhile and a later claim fences it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from lake_platform.domain.batches import BatchRange, Claim, TableState
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.errors import BatchClaimedError, CommitRaceError, LakeError
from lake_platform.load import claims

COMPACT_AFTER = 20  # commits since the last compaction
# No batch: nobody who takes over has to write it.
_NOTHING = BatchRange(0, 0)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Compacted:
    """`commits` that waited; `put_off` says why they still do."""

    table: str
    commits: int
    put_off: str = ""


def compact_table(
    table: str, ports: Ports, limits: Limits, after: int = COMPACT_AFTER
) -> Compacted | None:
    """Compacts when `after` commits wait for it; None when fewer do, which costs one LIST.

    Raises:
        EngineError, StorageUnavailableError, CommitRaceError: try again; no row was changed.
    """
    record = ports.metastore.get(table)
    dataset, engine = record.dataset, ports.engine(record.dataset.format)
    waiting = 0 if record.status is Status.RETIRED else engine.uncompacted(dataset)
    if waiting < max(1, after):
        return None
    state = engine.state(dataset)
    try:
        left = claims.open_claim(table, ports, state, limits)
        if claims.is_swap_left(left, ports.store, table):
            return Compacted(table, waiting, "a swap was left unfinished, the next load ends it")
        if left and left.claim.batch != _NOTHING:
            return Compacted(table, waiting, "a batch was left unfinished, the next load ends it")
        known = left.claim.epoch if left else (state.last.epoch if state.last else 0)
        claim = claims.take(table, ports, _NOTHING, known, replay=True)
    except BatchClaimedError as error:
        return Compacted(table, waiting, str(error))
    done = _compacted(dataset, ports, state, left, claim)
    return Compacted(table, waiting, "" if done else "a writer that died in one is waited for")


def _compacted(
    dataset: Dataset,
    ports: Ports,
    state: TableState,
    left: claims.LeftClaim | None,
    claim: Claim,
) -> bool:
    engine = ports.engine(dataset.format)
    try:
        for epoch in left.unfenced if left else ():
            engine.fence(dataset, epoch)
        if left and engine.state(dataset) != state:
            raise CommitRaceError(
                f"table {dataset.table!r} was written since it was looked at; compact again"
            )
        done = engine.compact(dataset, claim)
    except LakeError:
        claims.release(dataset.table, ports, claim, done=False)
        raise
    claims.release(dataset.table, ports, claim, done=True)
    return done

"""Claims: one writer at a time decides what a table's next batch is.

`checkpoints/<table>/phase2/claims/<epoch>.json`, put-if-absent. A later claim fences the earlier
ones (`TableEngine.fence`), so a writer that was taken for dead cannot commit any more. The claim
also fixes the batch's range: whoever takes over writes the same batch.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath

from lake_platform.domain.batches import BatchRange, Claim, TableState
from lake_platform.domain.layout import claim_prefix, seq_name
from lake_platform.domain.ports import ObjectStore
from lake_platform.errors import BatchClaimedError, StorageUnavailableError
from lake_platform.ingest.results import Limits, Ports


@dataclass(frozen=True, slots=True)
class LeftClaim:
    """A claim whose writer did not commit; `unfenced` are all epochs that may still try to."""

    claim: Claim
    unfenced: tuple[int, ...]


def claim_key(table: str, epoch: int) -> str:
    return f"{claim_prefix(table)}{seq_name(epoch)}.json"


def _released_key(table: str, epoch: int) -> str:
    return f"{claim_prefix(table)}{seq_name(epoch)}.released"


def latest(store: ObjectStore, table: str) -> Claim | None:
    """The newest claim."""
    listed = _epochs(store, table, 0)[0]
    return _read(store, table, listed[-1]) if listed else None


def uncommitted(store: ObjectStore, table: str, committed: int) -> list[Claim]:
    """Claims with an epoch above `committed`, the table's own last one."""
    return [_read(store, table, epoch) for epoch in _epochs(store, table, committed)[0]]


def open_claim(table: str, ports: Ports, state: TableState, limits: Limits) -> LeftClaim | None:
    """The claim of a writer that did not finish its batch; None when nobody left one.

    Raises:
        BatchClaimedError: that writer still lives.
    """
    listed, released = _epochs(ports.store, table, state.last.epoch if state.last else 0)
    if not listed:
        return None
    claim = _read(ports.store, table, listed[-1])
    # Who released a claim had fenced all below it before.
    fenced = max(released, default=0)
    left = LeftClaim(claim, tuple(e for e in listed if e >= fenced))
    if claim.epoch in released:
        return left
    alive = ports.workers.alive(claim.worker)
    lease_over = ports.clock() - claim.claimed_at > limits.claim_lease_seconds * 1000
    if alive or (alive is None and not lease_over):
        raise BatchClaimedError(table, str(claim.worker))
    return left


def take(table: str, ports: Ports, batch: BatchRange, after: int, replay: bool) -> Claim:
    """Claims epoch `after + 1`.

    Raises:
        BatchClaimedError: another writer was faster.
    """
    claim = Claim(
        epoch=after + 1,
        nonce=uuid.uuid4().hex[:12],
        batch=batch,
        worker=ports.workers.me(),
        claimed_at=ports.clock(),
        replay=replay,
    )
    key = claim_key(table, claim.epoch)
    try:
        won = ports.store.put_new(key, claim.to_bytes())
    except StorageUnavailableError:
        won = False
    if not won:
        try:
            holder = Claim.from_bytes(ports.store.get(key))
        except KeyError:
            raise StorageUnavailableError(f"claim {key!r} could not be written") from None
        if holder.nonce != claim.nonce:
            raise BatchClaimedError(table, str(holder.worker))
    return claim


def release(table: str, ports: Ports, claim: Claim) -> None:
    """Says that this writer is done without a commit, so nobody has to wait for it."""
    ports.store.put(_released_key(table, claim.epoch), b"")


def _epochs(store: ObjectStore, table: str, after: int) -> tuple[list[int], set[int]]:
    """Claimed epochs above `after`, ascending, and which of them were released."""
    start = claim_key(table, after) if after else ""
    found = [PurePosixPath(i.key) for i in store.list(claim_prefix(table), start)]
    above = [(p.suffix, int(p.stem)) for p in found if int(p.stem) > after]
    return (
        sorted(e for suffix, e in above if suffix == ".json"),
        {e for suffix, e in above if suffix == ".released"},
    )


def _read(store: ObjectStore, table: str, epoch: int) -> Claim:
    return Claim.from_bytes(store.get(claim_key(table, epoch)))

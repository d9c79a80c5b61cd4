"""Claims: one writer at a time decides what a table's next batch is.

`checkpoints/<table>/phase2/claims/<epoch>.json`, put-if-absent. A later claim fences the earlier
ones (`TableEngine.fence`), so a writer that was taken for dead cannot commit any more. The claim
also fixes the batch's range: whoever takes over writes the same batch.
"""

from __future__ import annotations

import uuid

from lake_platform.domain.batches import BatchRange, Claim, TableState
from lake_platform.domain.layout import claim_prefix, seq_name
from lake_platform.domain.ports import ObjectStore
from lake_platform.errors import BatchClaimedError, StorageUnavailableError
from lake_platform.ingest.results import Limits, Ports


def claim_key(table: str, epoch: int) -> str:
    return f"{claim_prefix(table)}{seq_name(epoch)}.json"


def _released_key(table: str, epoch: int) -> str:
    return f"{claim_prefix(table)}{seq_name(epoch)}.released"


def latest(store: ObjectStore, table: str, known_epoch: int) -> tuple[Claim | None, bool]:
    """The newest claim and whether it was released. `known_epoch`: an epoch known to exist."""
    after = claim_key(table, known_epoch - 1) if known_epoch > 1 else ""
    keys = sorted(i.key for i in store.list(claim_prefix(table), after))
    claims = [k for k in keys if k.endswith(".json")]
    if not claims:
        return None, False
    claim = Claim.from_bytes(store.get(claims[-1]))
    return claim, _released_key(table, claim.epoch) in keys


def open_claim(table: str, ports: Ports, state: TableState, limits: Limits) -> Claim | None:
    """The claim of a writer that did not finish its batch; None when nobody left one.

    Raises:
        BatchClaimedError: that writer still lives.
    """
    known = state.last.epoch if state.last else 0
    claim, released = latest(ports.store, table, known)
    if claim is None or claim.epoch <= known:
        return None
    if released:
        return claim
    alive = ports.workers.alive(claim.worker)
    lease_over = ports.clock() - claim.claimed_at > limits.claim_lease_seconds * 1000
    if alive or (alive is None and not lease_over):
        raise BatchClaimedError(table, str(claim.worker))
    return claim


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

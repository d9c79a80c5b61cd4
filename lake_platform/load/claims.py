"""Claims: one writer at a time decides what a table's next batch is.

`checkpoints/<table>/phase2/claims/<epoch>.json`, put-if-absent. A later claim fences the earlier
ones (`TableEngine.fence`), so a writer that was taken for dead cannot commit any more. The claim
also fixes the batch's range: whoever takes over writes the same batch.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lake_platform.domain.batches import BatchRange, Claim, TableState
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.layout import claim_prefix, lock_prefix, seq_name
from lake_platform.domain.storage import ObjectStore, put_first
from lake_platform.errors import BatchClaimedError, CommitRaceError

_DONE, _FAILED = ".done", ".failed"
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class LeftClaim:
    """A claim whose writer did not commit; `unfenced` are all epochs that may still try to."""

    claim: Claim
    unfenced: tuple[int, ...]


def claim_key(table: str, epoch: int) -> str:
    return f"{claim_prefix(table)}{seq_name(epoch)}.json"


def uncommitted(store: ObjectStore, table: str, committed: int) -> list[Claim]:
    """Claims with an epoch above `committed`, the table's own last one."""
    return [_read(store, table, epoch) for epoch in _epochs(store, table, committed)[0]]


def remove_old(table: str, ports: Ports, keep: int) -> None:
    """Removes claims, oldest first up to the first that stays, and fences of those that failed.

    A claim stays while its writer might commit: it is among the newest `keep`, younger than a day,
    or did not say that it ended and lives, or is on another host and younger than a week. The fence
    of a writer that never said so stays for good (others may say "done" of its batch): it may only
    sleep, and raw of its batch may be gone when it wakes, so that nobody could make good what it
    commits.
    """
    listed, ended = _epochs(ports.store, table, 0, _DONE, _FAILED)
    first = listed[0] if listed else 0
    for epoch in listed[:-keep]:
        if not _is_over(_read(ports.store, table, epoch), epoch in ended, ports):
            break
        first = epoch + 1
    below = f"{claim_prefix(table)}{seq_name(first)}"  # without the suffix: marks sort before it
    old = [i for i in ports.store.list(claim_prefix(table)) if i.key < below]
    before = ports.clock() - _DAY_MS
    fences = [
        i for epoch in _epochs(ports.store, table, 0, _FAILED)[1] if epoch < first
        for i in ports.store.list(lock_prefix(table, epoch)) if i.modified_at < before
    ]  # fmt: skip
    # Fences first: a claim that is left behind is looked at again, a fence would be forgotten.
    ports.store.delete([i.key for i in (*fences, *old)])


def _is_over(claim: Claim, ended: bool, ports: Ports) -> bool:
    age_ms, alive = ports.clock() - claim.claimed_at, ports.workers.alive(claim.worker)
    if ended or alive is not None:
        return age_ms > _DAY_MS and (ended or not alive)
    return age_ms > 7 * _DAY_MS


def open_claim(table: str, ports: Ports, state: TableState, limits: Limits) -> LeftClaim | None:
    """The claim of a writer that did not finish its batch; None when nobody left one.

    Raises:
        BatchClaimedError: that writer still lives.
    """
    known = state.last.epoch if state.last else 0
    listed, ended = _epochs(ports.store, table, known, _DONE, _FAILED)
    if not listed:
        return None
    claim = _read(ports.store, table, listed[-1])
    left = LeftClaim(claim, _unfenced(listed, ended))
    if claim.epoch not in ended and _held(claim, ports, limits):
        raise BatchClaimedError(table, str(claim.worker))
    return left


def unfenced(store: ObjectStore, table: str, committed: int, below: int) -> tuple[int, ...]:
    """Epochs above `committed` and under `below` that may still try to commit."""
    listed, ended = _epochs(store, table, committed, _DONE, _FAILED)
    return _unfenced([e for e in listed if e < below], {e for e in ended if e < below})


def is_newest(store: ObjectStore, table: str, claim: Claim) -> bool:
    return not _epochs(store, table, claim.epoch)[0]


def is_same_table(store: ObjectStore, table: str, claim: Claim) -> bool:
    """Whether no rebuilt table was swapped in since, nor is on its way."""
    return not any(later.shadow for later in uncommitted(store, table, claim.epoch))


def check_newest(table: str, ports: Ports, claim: Claim) -> None:
    """Raises: CommitRaceError when another writer took over since."""
    if not is_newest(ports.store, table, claim):
        raise CommitRaceError(
            f"table {table!r}: another process took over batch {claim.batch}; nothing of this "
            f"attempt is in the table, load again"
        )


def newest(store: ObjectStore, table: str) -> Claim | None:
    listed = _epochs(store, table, 0)[0]
    return _read(store, table, listed[-1]) if listed else None


def is_swap_left(left: LeftClaim | None, store: ObjectStore, table: str) -> bool:
    """Whether its holder was to swap in a rebuilt table, and has not ended that."""
    if left is None or not left.claim.shadow:
        return False
    return store.head(f"{claim_prefix(table)}{seq_name(left.claim.epoch)}{_DONE}") is None


def check_no_swap_left(left: LeftClaim, store: ObjectStore, table: str) -> None:
    """Raises: CommitRaceError."""
    if is_swap_left(left, store, table):
        raise CommitRaceError(
            f"table {table!r}: {left.claim.worker} ended in the swap of a rebuilt table; nothing "
            f"was written, try again: that ends the swap first"
        )


def swaps_until(store: ObjectStore, table: str, claim: Claim) -> list[int]:
    """The epochs of `claim`, which is a swap's, and of those right before it that are, too."""
    listed = _epochs(store, table, 0)[0]
    found: list[int] = []
    for epoch in reversed([e for e in listed if e <= claim.epoch]):
        if not _read(store, table, epoch).shadow:
            break
        found.append(epoch)
    return found


def put(table: str, ports: Ports, claim: Claim) -> None:
    """Raises: CommitRaceError when another writer has that epoch."""
    key = claim_key(table, claim.epoch)
    if put_first(ports.store, key, claim.to_bytes()):
        return
    if Claim.from_bytes(ports.store.get(key)).nonce != claim.nonce:
        raise CommitRaceError(f"table {table!r}: another process goes on with the swap; try again")


def put_ended(table: str, ports: Ports, claim: Claim) -> None:
    """A claim of before, of a table that came in the place of this one."""
    ports.store.put(f"{claim_prefix(table)}{seq_name(claim.epoch)}{_DONE}", b"")
    put_first(ports.store, claim_key(table, claim.epoch), claim.to_bytes())


def abandoned(table: str, ports: Ports, limits: Limits) -> Claim | None:
    """The newest claim when its writer has ended and is not known to be done. It may have died
    right after its commit, with something left to finish."""
    listed, done = _epochs(ports.store, table, 0, _DONE)
    if not listed or listed[-1] in done:
        return None
    claim = _read(ports.store, table, listed[-1])
    failed = ports.store.head(f"{claim_prefix(table)}{seq_name(claim.epoch)}{_FAILED}")
    return claim if failed or not _held(claim, ports, limits) else None


def take(
    table: str, ports: Ports, batch: BatchRange, after: int, replay: bool, shadow: str = ""
) -> Claim:
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
        shadow=shadow,
    )
    key = claim_key(table, claim.epoch)
    if not put_first(ports.store, key, claim.to_bytes()):
        holder = _read(ports.store, table, claim.epoch)
        if holder.nonce != claim.nonce:
            raise BatchClaimedError(table, str(holder.worker))
    later = _epochs(ports.store, table, claim.epoch)[0]
    if later:
        # The cleaner had removed this epoch: we stood still since `after` was read.
        release(table, ports, claim, done=False)
        raise BatchClaimedError(table, str(_read(ports.store, table, later[-1]).worker))
    return claim


def release(table: str, ports: Ports, claim: Claim, done: bool) -> None:
    """Says that this writer has ended, so nobody has to wait for it. `done`: nothing is left to
    finish; an error may have come after the commit, so the next load looks at the table."""
    suffix = _DONE if done else _FAILED
    ports.store.put(f"{claim_prefix(table)}{seq_name(claim.epoch)}{suffix}", b"")


def _epochs(store: ObjectStore, table: str, after: int, *ended: str) -> tuple[list[int], set[int]]:
    """Claimed epochs above `after`, ascending, and which of them have a mark of `ended`."""
    start = claim_key(table, after) if after else ""
    found = [PurePosixPath(i.key) for i in store.list(claim_prefix(table), start)]
    above = [(p.suffix, int(p.stem)) for p in found if int(p.stem) > after]
    return (
        sorted(e for suffix, e in above if suffix == ".json"),
        {e for suffix, e in above if suffix in ended},
    )


def _unfenced(listed: Sequence[int], ended: Collection[int]) -> tuple[int, ...]:
    # Who could say that it ended had fenced all below it before.
    fenced = max(ended, default=0)
    return tuple(e for e in listed if e >= fenced)


def _held(claim: Claim, ports: Ports, limits: Limits) -> bool:
    alive = ports.workers.alive(claim.worker)
    lease_over = ports.clock() - claim.claimed_at > limits.claim_lease_seconds * 1000
    return bool(alive) or (alive is None and not lease_over)


def _read(store: ObjectStore, table: str, epoch: int) -> Claim:
    key = claim_key(table, epoch)
    try:
        return Claim.from_bytes(store.get(key))
    except KeyError:
        raise CommitRaceError(
            f"table {table!r}: claim {key!r} was removed by the cleaner since it was listed, so "
            f"this process stood still for long; nothing was changed, try again"
        ) from None

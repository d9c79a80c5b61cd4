"""A replay that has to go on to the end of the log, while it is not there.

Where later records delete, a replay that ends halfway leaves rows that were deleted. So it puts on
record (`Progress.replaying`) where it stands; when it is cut off, the next load goes on from there.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, replace

from lake_platform.domain.batches import Worker
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.errors import BatchClaimedError


@dataclass(frozen=True, slots=True)
class Unfinished:
    """All applied raw commits from `first_seq` on are still to be applied again. `ended`: its
    writer said that it does not go on; `told_at`: when it last said something."""

    first_seq: int
    nonce: str
    worker: Worker
    told_at: int
    ended: bool = False


def known(table: str, ports: Ports) -> Unfinished | None:
    text = ports.metastore.progress(table).replaying
    if not text:
        return None
    plain = json.loads(text)
    return Unfinished(**plain | {"worker": Worker(**plain["worker"])})


def abandoned(table: str, ports: Ports, limits: Limits) -> Unfinished | None:
    """The one whose writer has ended."""
    found = known(table, ports)
    return found if found and not _held(found, ports, limits) else None


def begin(table: str, ports: Ports, limits: Limits, first_seq: int) -> Unfinished:
    """Takes over from one that was cut off. Raises: BatchClaimedError when one is at work."""
    left = known(table, ports)
    if left and _held(left, ports, limits):
        raise BatchClaimedError(table, f"a replay in {left.worker}")
    first = min(first_seq, left.first_seq) if left else first_seq
    made = Unfinished(first, uuid.uuid4().hex[:12], ports.workers.me(), ports.clock())
    return _told(table, ports, made)


def stands_at(table: str, ports: Ports, mark: Unfinished, seq: int) -> Unfinished:
    return _told(table, ports, replace(mark, first_seq=seq, told_at=ports.clock()))


def leave(table: str, ports: Ports, mark: Unfinished, *, done: bool) -> None:
    """Says that its writer has ended; `done`: at the end of the log."""
    found = known(table, ports)
    if found and found.nonce == mark.nonce:
        if done:
            ports.metastore.update_progress(table, replaying="")
        else:
            _told(table, ports, replace(mark, ended=True))


def _told(table: str, ports: Ports, mark: Unfinished) -> Unfinished:
    ports.metastore.update_progress(table, replaying=json.dumps(asdict(mark)))
    return mark


def _held(mark: Unfinished, ports: Ports, limits: Limits) -> bool:
    alive = ports.workers.alive(mark.worker)
    lease_over = ports.clock() - mark.told_at > limits.claim_lease_seconds * 1000
    return not mark.ended and (bool(alive) or (alive is None and not lease_over))

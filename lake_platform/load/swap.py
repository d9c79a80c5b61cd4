"""A rebuilt table takes the place of the live one.

Under a claim of the live table, so nobody loads or compacts it meanwhile, what is to be done is
decided by one object, put-if-absent at a key of that claim. Who finds such a claim left puts a
fence there; where the decision is there already, it goes on with it: each step may be done again.

    decided      checkpoints/<table>/phase2/swaps/<epoch>.json
    old one out  lake/<table>/, its batch log, its quarantine; then <epoch>.emptied
    new one in   its files, what readers enter it by last; its quarantine
    on record    one transaction of the metastore: from here there is nothing to swap
    tidied       what was the shadow's

Claims and fences of the live table stay, and those of the new one are above them all: a writer of
the old one that wakes now finds its fence, or a number that is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from lake_platform.domain.batches import BatchRange, Claim
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.layout import (
    checkpoints_prefix,
    emptied_key,
    lock_prefix,
    quarantine_prefix,
    staging_root,
    swap_key,
    table_prefix,
)
from lake_platform.domain.rebuild import Rebuild, Shadow
from lake_platform.domain.storage import ObjectStore, put_first
from lake_platform.errors import (
    BatchClaimedError,
    CommitRaceError,
    InvalidFieldError,
    NotRunnableError,
    StorageUnavailableError,
)
from lake_platform.load import claims

NOTHING = BatchRange(0, 0)
_FENCE: dict[str, str] = {}


def swap(rebuild: Rebuild, ports: Ports, limits: Limits, catch_up: Callable[[], None]) -> None:
    """`catch_up` loads the shadow up to the end of raw.

    Raises:
        BatchClaimedError, CommitRaceError: the live table is being written; try again.
        NotRunnableError: it was retired.
    """
    table = rebuild.shadow.rebuild_of
    record = ports.metastore.get(table)
    if record.status is Status.RETIRED:
        raise NotRunnableError(table, record.status)
    claim = _claimed(rebuild, record.dataset, ports, limits)
    try:
        catch_up()
        # Nobody goes on building what is moved.
        _claimed(rebuild, rebuild.shadow, ports, limits)
        _check_complete(rebuild.shadow, ports)
        _decide(table, ports.store, claim)
    except Exception as error:
        # The reply to the decision may be what was lost: who ends this claim looks.
        if not isinstance(error, StorageUnavailableError):
            _let_go(rebuild.shadow.table, ports)
        claims.release(table, ports, claim, done=False)
        raise
    _go_on(table, ports, claim, claim.epoch)


def drop(rebuild: Rebuild, ports: Ports, limits: Limits) -> None:
    """Removes the files of a rebuilt table, under a claim that keeps others from swapping it in.

    Raises: BatchClaimedError: it is being built, or the live table is being written.
    """
    table, shadow = rebuild.shadow.rebuild_of, rebuild.shadow
    claim = _claimed(rebuild, ports.metastore.get(table).dataset, ports, limits)
    try:
        claims.open_claim(shadow.table, ports, ports.engine(shadow.format).state(shadow), limits)
        _tidy(ports, shadow.table)
        if not put_first(ports.store, swap_key(table, claim.epoch), json.dumps(_FENCE).encode()):
            raise CommitRaceError(f"table {table!r}: another process took over; try again")
    finally:
        claims.release(table, ports, claim, done=True)


def settle_left(left: Claim, table: str, ports: Ports) -> bool:
    """Ends the swap of a claim that was left, or sees to it that it never begins; says which."""
    claim = claims.take(table, ports, NOTHING, left.epoch, replay=True, shadow=left.shadow)
    decided = None
    for epoch in claims.swaps_until(ports.store, table, left):
        if _decided(ports.store, table, epoch):
            decided = epoch
    if decided is not None:
        _go_on(table, ports, claim, decided)
        return True
    dataset = ports.metastore.get(table).dataset
    engine = ports.engine(dataset.format)
    last = engine.state(dataset).last
    for epoch in claims.unfenced(ports.store, table, last.epoch if last else 0, claim.epoch):
        engine.fence(dataset, epoch)
    _let_go(left.shadow, ports)
    claims.release(table, ports, claim, done=True)
    return False


def _claimed(rebuild: Rebuild, dataset: Dataset, ports: Ports, limits: Limits) -> Claim:
    """Of the live table or the shadow, as a load takes one (load/apply): who wrote before is
    fenced."""
    table, engine = dataset.table, ports.engine(dataset.format)
    state = engine.state(dataset)
    left = claims.open_claim(table, ports, state, limits)
    if left:
        claims.check_no_swap_left(left, ports.store, table)
        _check_nobody_inside(table, ports, left)
    first = state.last.epoch if state.last else dataset.first_epoch
    known = left.claim.epoch if left else first
    name = rebuild.shadow.table
    claim = claims.take(table, ports, NOTHING, known, replay=True, shadow=name)
    for epoch in left.unfenced if left else ():
        engine.fence(dataset, epoch)
    if left and engine.state(dataset) != state:
        claims.release(table, ports, claim, done=False)
        raise CommitRaceError(
            f"table {table!r} was written since it was looked at; nothing was swapped, try again"
        )
    return claim


def _check_nobody_inside(table: str, ports: Ports, left: claims.LeftClaim) -> None:
    """A fence does not stop who stands still within a commit, which would come to the new table."""
    worker = left.claim.worker
    inside = (ports.store.head(f"{lock_prefix(table, e)}lock") for e in left.unfenced)
    if any(inside) and ports.workers.alive(worker) is None:
        raise BatchClaimedError(table, str(worker))


def _let_go(shadow: str, ports: Ports) -> None:
    """The shadow may be built on: nothing of it was moved."""
    newest = claims.newest(ports.store, shadow)
    if newest is not None and newest.shadow:
        claims.release(shadow, ports, newest, done=True)


def _check_complete(shadow: Shadow, ports: Ports) -> None:
    table = shadow.rebuild_of
    reached = ports.engine(shadow.format).state(shadow).applied
    live = ports.metastore.progress(table).applied_seq
    if reached < live:
        raise InvalidFieldError(
            "table", table, f"its rebuilt table has raw commits up to {reached}, the live one has "
            f"them up to {live}", "go on with the rebuild first",
        )  # fmt: skip


def _decide(table: str, store: ObjectStore, claim: Claim) -> None:
    """Raises: CommitRaceError when another process took us for dead and fenced us out."""
    key = swap_key(table, claim.epoch)
    plain = {"shadow": claim.shadow, "nonce": claim.nonce}
    if put_first(store, key, json.dumps(plain).encode()):
        return
    if json.loads(store.get(key)) != plain:
        raise CommitRaceError(
            f"table {table!r}: another process took over while this one got ready for the swap; "
            f"nothing was swapped, try again"
        )


def _decided(store: ObjectStore, table: str, epoch: int) -> bool:
    """Whether the holder of this claim had decided; if not, it never will."""
    key = swap_key(table, epoch)
    if put_first(store, key, json.dumps(_FENCE).encode()):
        return False
    return bool(json.loads(store.get(key)))


def _go_on(table: str, ports: Ports, claim: Claim, decided: int) -> None:
    """From the decision to the end, wherever an earlier try came to."""
    rebuild, held = ports.metastore.rebuild(table), claim
    if rebuild is not None and rebuild.shadow.table == claim.shadow:
        held = _above(table, ports, claim)
        _swap_files(rebuild, ports, held, decided)
        ports.metastore.swap_in(table, claim.shadow)
    _tidy(ports, claim.shadow)
    # That the old table is gone stays on record: who slept since the decision must not clear again.
    ports.store.put(swap_key(table, decided), json.dumps(_FENCE).encode())
    _take_over_claims(table, ports, claim)
    for one in {claim.epoch: claim, held.epoch: held}.values():
        claims.release(table, ports, one, done=True)


def _above(table: str, ports: Ports, claim: Claim) -> Claim:
    """A claim above all of the new table, whose commits are on their way in: who looks at these
    would take the swap's own for one of long ago, and load."""
    newest = claims.newest(ports.store, claim.shadow)
    if newest is None or newest.epoch < claim.epoch:
        return claim
    _check_ours(ports.store, table, claim)
    held = replace(claim, epoch=newest.epoch)
    claims.put(table, ports, held)
    return held


def _swap_files(rebuild: Rebuild, ports: Ports, claim: Claim, decided: int) -> None:
    shadow, store = rebuild.shadow, ports.store
    table, old = shadow.rebuild_of, ports.metastore.get(shadow.rebuild_of).dataset
    still = partial(_check_ours, store, table, claim)
    emptied = emptied_key(table, decided)
    if store.head(emptied) is None:
        ports.engine(old.format).clear(old, still)
        for key in [i.key for i in store.list(quarantine_prefix(table))]:
            still()  # the new table's have the same names
            store.delete([key])
        store.put(emptied, b"")
    ports.engine(shadow.format).move_in(shadow, shadow.live, still)
    source = quarantine_prefix(shadow.table)
    for key in [i.key for i in store.list(source)]:
        still()
        _move(store, key, quarantine_prefix(table) + key.removeprefix(source))


def _move(store: ObjectStore, source: str, target: str) -> None:
    """What is gone was moved by who took over from us, or had before."""
    try:
        store.move(source, target)
    except KeyError:
        if store.head(target) is None:
            raise


def _check_ours(store: ObjectStore, table: str, claim: Claim) -> None:
    if not claims.is_newest(store, table, claim):
        raise CommitRaceError(
            f"table {table!r}: another process took over the swap and ends it; nothing to do here"
        )


def _tidy(ports: Ports, shadow: str) -> None:
    for of in (table_prefix, checkpoints_prefix, staging_root, quarantine_prefix):
        _remove(ports.store, of(shadow))


def _remove(store: ObjectStore, prefix: str) -> None:
    store.delete([i.key for i in store.list(prefix)])


def _take_over_claims(table: str, ports: Ports, claim: Claim) -> None:
    """The newest claim of the new table among those of the old one, so that who slept through the
    swap sees that there is a later one than it knew."""
    dataset = ports.metastore.get(table).dataset
    last = ports.engine(dataset.format).state(dataset).last
    if last is not None:
        held = Claim(last.epoch, claim.nonce, last.batch, claim.worker, ports.clock())
        claims.put_ended(table, ports, held)

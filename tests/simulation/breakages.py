"""Known ways to break the protocol, each a patch of one place; the simulation finds them all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from lake_platform.adapters.memory import engine as memory_engine
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.layout import quarantine_key, raw_log_prefix
from lake_platform.domain.offsets import RawCommit
from lake_platform.dump import dump as dump_module
from lake_platform.dump import raw_slice
from lake_platform.dump.raw_slice import RawSlice
from lake_platform.load import apply, claims, progress, quarantine, replay, swap
from lake_platform.load import load as load_module
from lake_platform.load.plan import Loading
from lake_platform.maintain import cleaner as compact_log
from lake_platform.raw import log as raw_log
from tests.simulation.hudi_like import HudiLikeEngine

Break = Callable[[ExitStack], None]


def _swap(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(patch.object(owner, name, value))


def put_instead_of_put_new(stack: ExitStack) -> None:
    """Phase 1 overwrites the commit of whoever was faster."""

    def append(store: Any, table: str, commit: Any) -> None:
        store.put(raw_log.commit_key(table, commit.seq), commit.to_bytes())

    _swap(stack, raw_log, "append", append)


def nonce_not_compared(stack: ExitStack) -> None:
    """A lost race passes for a lost reply."""
    _swap(stack, raw_log, "_is_ours", lambda *_: True)


def commit_before_the_objects(stack: ExitStack) -> None:
    """Phase 1 commits first and uploads afterwards."""
    waiting: list[tuple[Any, str, bytes]] = []
    append, upload = raw_log.append, RawSlice.upload

    class Later:
        def __init__(self, store: Any) -> None:
            self._store = store

        def put(self, key: str, data: bytes) -> None:
            waiting.append((self._store, key, data))

    def late(store: Any, table: str, commit: Any) -> None:
        mine = [w for w in waiting if w[0] is store]
        waiting[:] = [w for w in waiting if w[0] is not store]
        append(store, table, commit)
        for _, key, data in mine:
            store.put(key, data)

    _swap(stack, RawSlice, "upload", lambda self, store: upload(self, Later(store)))  # type: ignore[arg-type]
    _swap(stack, raw_log, "append", late)


def missing_offsets_skipped(stack: ExitStack) -> None:
    """The silent seek."""
    starts = dump_module._starts

    def clamped(head: Any, info: Any, gaps: Any) -> dict[int, int]:
        return {p: max(at, info.ranges[p].start) for p, at in starts(head, info, gaps).items()}

    _swap(stack, dump_module, "_starts", clamped)


def topic_not_compared(stack: ExitStack) -> None:
    """Offsets of a re-created topic are taken for the old ones."""
    _swap(stack, dump_module, "_check_same_topic", lambda *_: None)


def end_taken_for_the_position(stack: ExitStack) -> None:
    """Each slice says it reached the end of the topic."""
    append = raw_log.append

    def early(store: Any, table: str, commit: Any) -> None:
        held = {p: n + 1 for p, n in commit.next_offsets.items()}
        append(store, table, replace(commit, next_offsets=held))

    _swap(stack, raw_log, "append", early)


def no_fence(stack: ExitStack) -> None:
    for module in (apply, load_module):
        _swap(stack, module, "fence", lambda *_: None)


def no_look_behind_the_fence(stack: ExitStack) -> None:
    """The state of before the fence is believed."""

    def take(loading: Any, state: Any, left: Any, work: Any) -> Any:
        known = state.last.epoch if state.last else 0
        after = left.claim.epoch if left else known
        claim = claims.take(loading.table, loading.ports, work.batch, after, work.replay)
        apply.fence(loading, left)
        return claim

    _swap(stack, apply, "_take_claim", take)


def checkpoint_before_the_data(stack: ExitStack) -> None:
    """The metastore hears of a batch that may never be written."""
    prepare = apply.prepare

    def early(loading: Any, claim: Any, work: Any, *, fresh: bool) -> Any:
        prepared = prepare(loading, claim, work, fresh=fresh)
        loading.ports.metastore.update_progress(loading.table, applied_seq=prepared[1].applied)
        return prepared

    _swap(stack, apply, "prepare", early)


def quarantine_named_by_chance(stack: ExitStack) -> None:
    """Each try of a batch writes bad records of its own."""

    def named(table: str, window: str, commit: str) -> str:
        return quarantine_key(table, window, f"{commit}-{uuid.uuid4().hex}")

    _swap(stack, quarantine, "quarantine_key", named)


def new_columns_taken_for_applied(stack: ExitStack) -> None:
    """A batch written without its new columns counts as done."""
    write = MemoryEngine.write
    late = HudiLikeEngine.write

    def done(job: Any) -> Any:
        return replace(job, applied=job.batch.last_seq, reapply=False) if job.reapply else job

    _swap(stack, MemoryEngine, "write", lambda self, job: write(self, done(job)))
    _swap(stack, HudiLikeEngine, "write", lambda self, job: late(self, done(job)))


def replay_stops_before_the_delete(stack: ExitStack) -> None:
    _swap(stack, replay, "_deletes_after", lambda *_: False)


def checkpoint_of_a_replay_not_compared(stack: ExitStack) -> None:
    """As it was before the simulation found it."""

    def is_next(job: Any, last: Any) -> bool:
        if last is None:
            return True
        if last.batch.epoch >= job.claim.epoch:
            return False
        return bool(job.replay or last.batch.applied < job.batch.first_seq)

    _swap(stack, memory_engine, "_is_next", is_next)


def cleaner_takes_one_too_many(stack: ExitStack) -> None:
    trim = compact_log._trim

    def more(table: str, ports: Any, old: Any) -> int:
        removed = trim(table, ports, old)
        ports.store.delete([raw_log.commit_key(table, old[-1].seq + 1)])
        return removed

    _swap(stack, compact_log, "_trim", more)


def cleaner_takes_what_is_not_applied(stack: ExitStack) -> None:
    """Raw retention goes by age alone."""

    def expired(old: Any, now: int, days: int) -> Any:
        return [replace(c, expired_at=now) if days and not c.expired_at else c for c in old]

    _swap(stack, compact_log, "_expired", expired)
    held: Callable[..., Any] = raw_log.commits_after

    def all_of(table: str, ports: Any, old: Any) -> int:  # noqa: ARG001 - port of _trim
        for commit in held(ports.store, table, 0)[:-1]:
            ports.store.delete([o.key for o in commit.objects])
        return 0

    _swap(stack, compact_log, "_trim", all_of)


def cleaner_asks_no_reader(stack: ExitStack) -> None:
    """Raw retention waits for the table alone, not for who reads its raw."""
    applied = compact_log._applied_by_all
    _swap(stack, compact_log, "_applied_by_all", lambda tables, *more: applied(tables[:1], *more))


def orphans_by_age_alone(stack: ExitStack) -> None:
    """As it was: what is a day old and in no commit that the cleaner read goes."""

    def orphans(table: str, held: Any, commits: Any, before: int) -> set[str]:  # noqa: ARG001
        known = {o.key for c in commits for o in c.objects}
        return {i.key for i in held if i.key not in known and i.modified_at < before}

    _swap(stack, compact_log, "_orphans", orphans)
    _swap(stack, dump_module, "_check_young", lambda *_: None)


def stale_commits_read(stack: ExitStack) -> None:
    """As it was: a commit at a place the cleaner freed is made, and read."""

    def after(store: Any, table: str, seq: int) -> Iterator[Any]:
        keys = [i.key for i in store.list(raw_log_prefix(table))]
        keys = [k for k in keys if raw_log.seq_of(k) > seq]
        first = raw_log.seq_of(keys[0]) if keys else 0
        if first > seq + 1:
            yield from (c for c in raw_log.read_snapshot(store, table) if seq < c.seq < first)
        yield from (RawCommit.from_bytes(store.get(k)) for k in keys)

    _swap(stack, raw_log, "_is_stale", lambda *_: False)
    _swap(stack, raw_log, "iter_commits_after", after)


def statistics_not_caught_up(stack: ExitStack) -> None:
    _swap(stack, load_module, "catch_up", lambda *_, **__: None)


def half_a_slice(stack: ExitStack) -> None:
    """A record in each slice is not written."""
    add = raw_slice.RawSlice.add
    _swap(stack, RawSlice, "add", lambda self, messages, now: add(self, messages[:2], now))


def decisions_for_the_batch_they_fall_in(stack: ExitStack) -> None:
    """What was decided of a batch's first raw commit is taken for all of it."""
    rulings = Loading.rulings

    def first_only(self: Loading, commits: Any, *, asked: bool) -> Any:
        return [(rulings(self, commits[:1], asked=asked)[0][0], list(commits))]

    _swap(stack, Loading, "rulings", first_only)


def decisions_forgotten_by_replays(stack: ExitStack) -> None:
    """What was put aside or dropped once comes in, or stops the table, the next time."""
    rulings = Loading.rulings

    def now_only(self: Loading, commits: Any, *, asked: bool) -> Any:
        new = commits[0].seq > self.state().applied
        return rulings(self if new else replace(self, decisions=()), commits, asked=asked)

    _swap(stack, Loading, "rulings", now_only)


def swap_that_loads_do_not_see(stack: ExitStack) -> None:
    """As it was: while files of the new table move in, the claim of the swap is below its own."""
    _swap(stack, swap, "_above", lambda _table, _ports, claim: claim)


def old_table_left_in_place(stack: ExitStack) -> None:
    _swap(stack, MemoryEngine, "clear", lambda *_: None)


def redrive_leaves_what_came_back(stack: ExitStack) -> None:
    """Records are rows, or dropped, and in quarantine besides."""
    for module in (apply, progress):
        _swap(stack, module, "settle", lambda *_, **__: ())


BREAKAGES: Mapping[str, Break] = {
    act.__name__: act
    for act in (
        put_instead_of_put_new, nonce_not_compared, commit_before_the_objects,
        missing_offsets_skipped, topic_not_compared, end_taken_for_the_position, no_fence,
        no_look_behind_the_fence, checkpoint_before_the_data,
        quarantine_named_by_chance, new_columns_taken_for_applied,
        replay_stops_before_the_delete, checkpoint_of_a_replay_not_compared,
        cleaner_takes_one_too_many, cleaner_takes_what_is_not_applied, cleaner_asks_no_reader,
        orphans_by_age_alone, stale_commits_read, statistics_not_caught_up, half_a_slice,
        decisions_for_the_batch_they_fall_in, decisions_forgotten_by_replays,
        swap_that_loads_do_not_see, old_table_left_in_place, redrive_leaves_what_came_back,
    )
}  # fmt: skip


@contextmanager
def breakage(name: str) -> Iterator[None]:
    with ExitStack() as stack:
        BREAKAGES[name](stack)
        yield

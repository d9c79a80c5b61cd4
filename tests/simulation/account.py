"""The independent account: reads storage itself and holds it against what was really produced."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lake_platform.errors import NoRecordYetError, OffsetsMissingError, TopicRecreatedError
from tests.simulation import ledger
from tests.simulation.ledger import HOUR_MS, Place, Sent
from tests.simulation.plan import Setting, Work
from tests.simulation.works import TABLE, TOPIC
from tests.simulation.world import World

_PHASE1 = f"checkpoints/{TABLE}/phase1/"
_SNAPSHOTS = f"checkpoints/{TABLE}/phase1-snapshots/"


def close(world: World) -> None:
    """Raises Broken unless every record is in exactly one place."""
    commits = _commits(world)
    sent = {s.place: s for s in world.sent}
    held = _check_raw(world, commits, sent)
    _check_missing(world, commits, [s for s in world.sent if s.place not in held])
    head = commits[-1]["seq"] if commits else 0
    for table in world.tables:
        _close_table(world, table, held, sent, head, _expired(commits, sent))
    _check_shadow(world)


def _close_table(
    world: World,
    table: str,
    held: Mapping[Place, int],
    sent: Mapping[Place, Sent],
    head: int,
    gone: Collection[Place],
) -> None:
    """What raw holds, up to where the table is. `gone`: raw retention took these."""
    fates = _fates(world, table, held)
    now = _setting_now(world, table)
    undecided = [p for p in held if sent[p].kind == "breaking" and not fates[p]]
    applied = _check_progress(world, table, head, undecided)
    due = [ledger.ended(sent[p], fates[p]) for p, seq in held.items() if seq <= applied]
    pending = [ledger.ended(sent[p], fates[p]) for p, seq in held.items() if seq > applied]
    mended = world.mended and table == TABLE
    kept = {s.place for s in due if mended and (world.blocked or s.place in gone)}
    _check_quarantine(world, table, now, due, pending, kept)
    if now.mode == "append":
        _check_append(world, table, now, due)
    else:
        _check_upsert(world, table, now, due)


def _setting_now(world: World, table: str) -> Setting:
    """With what rebuilds and operators made of it."""
    dataset = world.dataset_of(table)
    return replace(world.setting, mode=dataset.mode, tombstones=dataset.tombstones)


def _expired(commits: Iterable[Mapping[str, Any]], sent: Mapping[Place, Sent]) -> set[Place]:
    """No re-drive can look at these again."""
    return {p for c in commits if c["expired_at"] for p, _ in _covered(c, sent)}


def _check_shadow(world: World) -> None:
    """Nothing is left of a rebuilt table that was swapped in or dropped, but by who woke later."""
    if world.slept:
        return
    known = world.metastore.rebuild(TABLE)
    name = known.shadow.table if known else None
    left = {key for key in world.store.objects if f"{TABLE}.rebuild-" in key}
    if alien := sorted(k for k in left if name is None or f"/{name}/" not in f"/{k}"):
        world.broken(f"left of a rebuild: {alien}")


def _fates(world: World, table: str, held: Mapping[Place, int]) -> dict[Place, str]:
    """What operators decided of breaking values in each record's raw commit."""
    active = world.metastore.active_schema(table)
    column = active.source.get("n") if active else None
    breaks = column is not None and str(column.type) == "long"
    decided = world.metastore.decisions(table) if breaks else []
    return {
        place: next((d.action for d in reversed(decided) if d.covers(seq)), "")
        for place, seq in held.items()
    }


def _commits(world: World) -> list[Mapping[str, Any]]:
    """The log, whole: the newest snapshot, and the commits behind it."""
    found: dict[int, Mapping[str, Any]] = {}
    snapshots = sorted(k for k in world.store.objects if k.startswith(_SNAPSHOTS))
    if snapshots:
        for line in gzip.decompress(world.store.get(snapshots[-1])).splitlines():
            commit = json.loads(line)
            found[commit["seq"]] = commit
    covered = max(found, default=0)
    for key in [k for k in world.store.objects if k.startswith(_PHASE1)]:
        commit = json.loads(world.store.get(key))
        if commit["seq"] > covered:
            found[commit["seq"]] = commit
    if sorted(found) != list(range(1, len(found) + 1)):
        world.broken(f"the raw log has holes: {sorted(found)}")
    return [found[n] for n in sorted(found)]


def _check_raw(
    world: World, commits: Iterable[Mapping[str, Any]], sent: Mapping[Place, Sent]
) -> dict[Place, int]:
    """Every place the log holds, with its seq: each once, and as it was sent."""
    held: dict[Place, int] = {}
    for commit in commits:
        for place, line in _places(world, commit, sent):
            if place in held:
                world.broken(f"{place} is in raw commits {held[place]} and {commit['seq']}")
            if place not in sent:
                world.broken(f"raw commit {commit['seq']} has {place}, which was never sent")
            if line is not None and not _as_sent(line, sent[place]):
                world.broken(f"raw has {line} for {sent[place]}")
            held[place] = commit["seq"]
    return held


def _places(
    world: World, commit: Mapping[str, Any], sent: Mapping[Place, Sent]
) -> Iterable[tuple[Place, Any]]:
    if commit["expired_at"]:  # its objects may be gone; its ranges say what was in them
        yield from _covered(commit, sent)
        return
    for raw in commit["objects"]:
        if raw["key"] not in world.store.objects and _let_go(world, commit):
            yield from _covered(commit, sent)
            return
        if raw["key"] not in world.store.objects:
            world.broken(f"raw commit {commit['seq']} names {raw['key']}, which is not there")
        for text in gzip.decompress(world.store.get(raw["key"])).splitlines():
            line = json.loads(text)
            yield (line["partition"], line["offset"]), line


def _covered(commit: Mapping[str, Any], sent: Mapping[Place, Sent]) -> Iterable[tuple[Place, None]]:
    for partition, covered in commit["ranges"].items():
        for offset in range(covered["start"], covered["end"]):
            if (int(partition), offset) in sent:
                yield (int(partition), offset), None


def _let_go(world: World, commit: Mapping[str, Any]) -> bool:
    """Two cleaners side by side may lose a mark of raw retention until the next one sets it."""
    applied = all(commit["seq"] <= world.metastore.progress(t).applied_seq for t in world.tables)
    old = commit["committed_at"] < world.now_ms - 7 * 24 * HOUR_MS
    return applied and old and world.retention


def _as_sent(line: Mapping[str, Any], sent: Sent) -> bool:
    if line["timestamp"] != sent.timestamp:
        return False
    if sent.kind == "bad":
        return "value_bytes" in line
    return bool(line["value"] == (json.loads(sent.value) if sent.value else None))


def _check_missing(world: World, commits: list[Mapping[str, Any]], missing: list[Sent]) -> None:
    """What is not in raw was taken by retention, and is an accepted gap, lies before the first
    dump, or is what the platform stopped over."""
    stop = world.stopped.get("dump")
    if world.recreated:
        if not isinstance(stop, TopicRecreatedError):
            world.broken(f"the topic is another one, and the dump said {stop!r}")
        return  # what was not read of the old one is gone
    named = isinstance(stop, OffsetsMissingError)
    held = world.kafka.describe(TOPIC).ranges
    gaps = world.metastore.accepted_gaps(TABLE)
    for s in missing:
        if s.offset >= held[s.partition].start and not named:
            world.broken(f"{s} is in Kafka and not in raw")
        accepted = any(g.partition == s.partition and g.start <= s.offset < g.end for g in gaps)
        before = not commits or s.offset < _first(commits[0], s.partition)
        if not accepted and not before and not named:
            world.broken(f"{s} is not in raw, and nobody accepted that")


def _first(commit: Mapping[str, Any], partition: int) -> int:
    covered = commit["ranges"].get(str(partition))
    start = covered["start"] if covered else commit["next_offsets"].get(str(partition), 0)
    return int(start)


def _check_progress(world: World, table: str, head: int, undecided: Collection[Place]) -> int:
    """The seq up to which the table must be complete: all of it, unless the platform says why."""
    progress, blocked = world.metastore.progress(table), world.blocked_of(table)
    applied = world.engine(world.store).state(world.dataset_of(table)).applied
    if progress.head_seq != head:
        world.broken(f"progress says head {progress.head_seq}, the log ends at {head}")
    if progress.applied_seq != applied:
        world.broken(f"progress says applied {progress.applied_seq}, {table} {applied}")
    schemaless = world.metastore.active_schema(table) is None
    load: Work = "load" if table == TABLE else "read"
    waits = progress.load_error_kind == NoRecordYetError.__name__
    named = schemaless and (waits or load in world.stopped)
    if applied != head and not blocked and not named:
        world.broken(f"{table} stands at {applied} of {head}, and nothing says why")
    if blocked and not world.metastore.incidents(table, "OPEN"):
        world.broken("BLOCKED without an incident")
    if blocked and not undecided:
        world.broken("BLOCKED, and nothing breaking is left to decide of")
    return applied


def _check_quarantine(
    world: World,
    table: str,
    now: Setting,
    due: Iterable[Sent],
    pending: Iterable[Sent],
    kept: Collection[Place],
) -> None:
    """Tombstones at the places `kept` may have been put aside before that was mended.

    Of batches that wait (the table is blocked) a writer that died before its commit may have put
    some already; who applies them puts the same again."""
    expected, early = (
        Counter((s.place, r) for s in some if (r := ledger.reason(s, now)))
        for some in (due, pending)
    )
    found: Counter[tuple[Place, str]] = Counter()
    for key in world.store.objects:
        if key.startswith(f"quarantine/{table}/"):
            for text in gzip.decompress(world.store.get(key)).splitlines():
                line = json.loads(text)
                record = line["record"]
                found[(record["partition"], record["offset"]), line["reason"]] += 1
    early += Counter((p, ledger.TOMBSTONE) for p in kept if now.mode == "append")
    _same(world, f"quarantine of {table}", found - (found & early), expected)


def _check_append(world: World, table: str, now: Setting, due: Iterable[Sent]) -> None:
    expected = ledger.rows_of_append(due, now)
    engine, dataset = world.engine(world.store), world.dataset_of(table)
    rows = engine.rows(dataset)
    found = Counter((r["_kafka_partition"], r["_kafka_offset"]) for r in rows)
    if world.blocked_of(table) and engine.state(dataset).doubled:
        return  # known to the table; undone by the first load after the operator's decision
    _same(world, table, found, Counter(expected.keys()))
    for row in rows:
        value = expected[row["_kafka_partition"], row["_kafka_offset"]]
        if not ledger.holds(row, value):
            world.broken(f"the table has {row} for {value}")
    progress = world.metastore.progress(table)
    if progress.records != len(rows):
        world.broken(f"statistics count {progress.records} rows, the table has {len(rows)}")


def _check_upsert(world: World, table: str, now: Setting, due: Iterable[Sent]) -> None:
    expected = ledger.rows_of_upsert(due, now)
    rows = world.engine(world.store).rows(world.dataset_of(table))
    _same(world, table, Counter(r["id"] for r in rows), Counter(expected.keys()))
    for row in rows:
        if not ledger.holds(row, expected[row["id"]]):
            world.broken(f"the table has {row} for {expected[row['id']]}")


def _same(world: World, where: str, found: Counter[Any], expected: Counter[Any]) -> None:
    lost, more = expected - found, found - expected
    if lost or more:
        world.broken(
            f"{where}: lost {sorted(lost.items())}, doubled or alien {sorted(more.items())}"
        )

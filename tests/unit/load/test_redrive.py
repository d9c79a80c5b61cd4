"""Records in quarantine and values in `_rescued` that come back, and those that stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.quality import Reason
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import (
    InvalidFieldError,
    NotRunnableError,
    RawExpiredError,
    ReplayRefusedError,
    SchemaVersionNotFoundError,
    StorageUnavailableError,
)
from lake_platform.load import quarantined
from lake_platform.load.redrive import Redrive, plan
from lake_platform.load.redriven import Fate, Outcome, Plan
from lake_platform.raw import log as raw_log
from tests.sampling import sampled
from tests.support import (
    CHANGES,
    HOUR_MS,
    NOW_MS,
    STORE_CALLS,
    Fault,
    Lab,
    Trap,
    faulty_ports,
)
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]
CONFLICT, NO_KEY, NO_JSON = Reason.CONFLICT.value, Reason.NULL_KEY.value, Reason.NOT_JSON.value
SOURCE = Struct((Field("id", Scalar("long")), Field("n", Scalar("long"))))
UPSERT: dict[str, Any] = {"mode": "upsert", "primary_key": ("id",)}
FIRST, SECOND, THIRD = (f"2026-11-01-0{hour}:00" for hour in range(3))


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def registered(lab: Lab, **values: Any) -> None:
    """With a table that is there, to be broken."""
    lab.register(source=SOURCE, **{"on_conflict": "quarantine"} | values)
    lab.send({"id": 99, "n": 0}, key="99")
    lab.cycle()


def begun(lab: Lab, **values: Any) -> None:
    """Three hours, a batch each; in the first two a record whose `n` does not fit."""
    registered(lab, **values)
    for hour in range(3):
        lab.send({"id": hour, "n": hour}, key=str(hour))
        if hour < 2:
            lab.send({"id": 10 + hour, "n": "many"}, key=str(10 + hour), reason=CONFLICT)
        if hour == 1:
            lab.send(b"{", reason=NO_JSON)
        lab.cycle()
        lab.now_ms += HOUR_MS
    lab.account()


def change(lab: Lab, **fields: Any) -> None:
    record = lab.metastore.get("t")
    lab.metastore.update("t", fields, record.version, "test")


def mend(lab: Lab, *reasons: str) -> None:
    """What did not fit does from now on."""
    change(lab, on_conflict="rescue")
    sent = lab.sent["t"]
    lab.sent["t"] = [
        replace(r, reason="") if r.reason in (reasons or [CONFLICT]) else r for r in sent
    ]


def drive(lab: Lab, *, rescued: bool = False, ports: Any = None, **wanted: Any) -> Outcome:
    chosen = quarantined.wanted(**wanted)
    running = Redrive("t", lab.ports(**ports or {}), lab.limits, chosen, rescued=rescued)
    list(running.run())
    return running.outcome


def planned(lab: Lab, *, rescued: bool = False, **wanted: Any) -> Plan:
    chosen = quarantined.wanted(**wanted)
    return plan("t", lab.store, lab.metastore, lab.limits, chosen, rescued=rescued)


def totals(lab: Lab) -> tuple[int, ...]:
    p = lab.metastore.progress("t")
    return p.records, p.deduplicated, p.deleted, p.dropped, p.quarantined


@pytest.mark.parametrize("mode", [{}, UPSERT], ids=["append", "upsert"])
def test_what_fits_now_comes_back_once(lab: Lab, mode: dict[str, Any]) -> None:
    begun(lab, **mode)
    assert totals(lab)[-1] == 3
    mend(lab)
    outcome = drive(lab)
    assert outcome.fates == (Fate(CONFLICT, 2, {}),)
    assert (outcome.batches, outcome.whole) == (1, True)
    lab.account()
    assert totals(lab)[-1] == 1
    assert sum(totals(lab)) == len(lab.sent["t"])
    assert outcome.rescued == {"n": 2}
    again = drive(lab)
    assert (again.fates, again.batches) == ((), 0)
    lab.account()


def test_what_fails_again_stays_and_says_why(lab: Lab) -> None:
    begun(lab)
    outcome = drive(lab)
    assert outcome.fates == (Fate(CONFLICT, 0, {CONFLICT: 2}),)
    lab.account()
    assert totals(lab)[-1] == 3


def test_another_reason_than_before(lab: Lab) -> None:
    registered(lab, **UPSERT)
    lab.send({"id": 1, "n": 1})
    lab.send({"n": "many"}, reason=CONFLICT)
    lab.cycle()
    change(lab, on_conflict="rescue")
    lab.sent["t"][2] = replace(lab.sent["t"][2], reason=NO_KEY)
    assert drive(lab).fates == (Fate(CONFLICT, 0, {NO_KEY: 1}),)
    lab.account()


def test_a_table_that_blocks_is_not_blocked_by_a_redrive(lab: Lab) -> None:
    begun(lab)
    change(lab, on_conflict="block")
    assert drive(lab).fates == (Fate(CONFLICT, 0, {CONFLICT: 2}),)
    assert lab.metastore.get("t").status is Status.LIVE
    assert lab.metastore.incidents("t") == []
    lab.account()


def test_only_what_was_asked_for(lab: Lab) -> None:
    begun(lab)
    mend(lab)
    found = planned(lab, windows=[SECOND])
    assert [(g.window, g.reason, g.records) for g in found.groups] == [(SECOND, CONFLICT, 1)]
    assert [(g.window, g.reason, g.records) for g in found.unreadable] == [(SECOND, NO_JSON, 1)]
    assert (found.records, found.batches, found.to_end) == (3, 1, False)
    assert drive(lab, windows=[SECOND]).fates == (Fate(CONFLICT, 1, {}),)
    assert {q["record"]["value"]["id"] for q in lab.quarantined() if "value" in q["record"]} == {10}
    assert drive(lab, reasons=["null-key"]).fates == ()
    assert drive(lab, version=1, reasons=["conflict"]).fates == (Fate(CONFLICT, 1, {}),)
    lab.account()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            {"reasons": ["no such"]},
            f"there is {CONFLICT!r}, {NO_JSON!r}; short names are ",
        ),
        ({"windows": ["2026-11-01-07:00"]}, f"there is {FIRST}, {SECOND}, {THIRD}"),
        ({"windows": ["yesterday"]}, "give full hours in UTC"),
    ],
)
def test_what_can_match_nothing_is_named(lab: Lab, wanted: dict[str, Any], said: str) -> None:
    begun(lab)
    with pytest.raises(InvalidFieldError, match="=") as caught:
        planned(lab, **wanted)
    assert said in str(caught.value)


def test_a_version_there_is_none_of(lab: Lab) -> None:
    begun(lab)
    with pytest.raises(SchemaVersionNotFoundError, match="version 1 only"):
        planned(lab, version=2)


def test_a_plan_changes_nothing(lab: Lab) -> None:
    begun(lab)
    mend(lab)
    before = {i.key: lab.store.get(i.key) for i in lab.store.list("")}
    log = lab.metastore.audit_log()
    assert [g.records for g in planned(lab).groups] == [1, 1]
    assert {i.key: lab.store.get(i.key) for i in lab.store.list("")} == before
    assert lab.metastore.audit_log() == log


@pytest.mark.parametrize("status", ["PAUSED", "RETIRED", "BLOCKED"])
def test_a_table_that_must_not_be_written_is_refused(lab: Lab, status: str) -> None:
    begun(lab)
    if status == "BLOCKED":
        lab.metastore.block("t", (), "b", ())
    else:
        lab.metastore.set_status("t", Status(status))
    with pytest.raises(NotRunnableError, match="lake ") as caught:
        drive(lab)
    assert caught.value.status == status


def test_older_records_never_overwrite_newer_rows(lab: Lab) -> None:
    registered(lab, **UPSERT)
    lab.send({"id": 1, "n": "old"}, key="1", reason=CONFLICT)
    lab.send({"id": 2, "n": "old"}, key="2", reason=CONFLICT)
    lab.cycle()
    lab.now_ms += HOUR_MS
    lab.send({"id": 1, "n": 7}, key="1")
    lab.cycle()
    mend(lab)
    assert drive(lab).fates == (Fate(CONFLICT, 2, {}),)
    lab.account()
    assert {r["id"]: r["n"] for r in lab.rows()} == {1: 7, 2: None, 99: 0}


def test_what_was_deleted_later_stays_deleted(lab: Lab) -> None:
    registered(lab, **UPSERT)
    lab.send({"id": 1, "n": "many"}, key="1", reason=CONFLICT)
    lab.cycle()
    lab.now_ms += HOUR_MS
    lab.send(None, key="1")
    lab.send({"id": 2, "n": 1}, key="2")
    lab.cycle()
    mend(lab)
    assert planned(lab).to_end
    assert drive(lab).fates == (Fate(CONFLICT, 1, {}),)
    lab.account()
    assert {r["id"] for r in lab.rows()} == {2, 99}


class TestExpired:
    """Raw retention took the raw objects of some records."""

    def expire(self, lab: Lab, *seqs: int) -> None:
        for commit in raw_log.commits_after(lab.store, "t", 0):
            if commit.seq in seqs:
                marked = replace(commit, expired_at=lab.now_ms).to_bytes()
                lab.store.put(raw_log.commit_key("t", commit.seq), marked)

    def test_the_others_come_back(self, lab: Lab) -> None:
        begun(lab)
        self.expire(lab, 1, 2)
        mend(lab)
        lab.sent["t"][2] = replace(lab.sent["t"][2], reason=CONFLICT)
        outcome = drive(lab)
        assert outcome.fates == (Fate(CONFLICT, 1, {}),)
        assert [(g.window, g.records) for g in outcome.plan.expired] == [(FIRST, 1)]
        lab.account()

    def test_all_of_them_are_named(self, lab: Lab) -> None:
        begun(lab)
        self.expire(lab, 1, 2, 3)
        mend(lab)
        with pytest.raises(RawExpiredError, match="lake quarantine show t --json") as caught:
            drive(lab)
        assert (caught.value.first_seq, caught.value.last_seq) == (2, 3)
        assert FIRST in str(caught.value)

    def test_whole_batches_of_a_parquet_table(self, lab: Lab) -> None:
        registered(lab, format="parquet")
        for n in range(2):
            lab.send({"id": n, "n": "many"}, reason=CONFLICT)
            lab.dump()
        lab.load()
        self.expire(lab, 2)
        assert [g.records for g in planned(lab).expired] == [2]


def test_rows_never_go_to_quarantine_where_they_would_stay(lab: Lab) -> None:
    """What a row of an upsert table replaced is gone: it cannot be taken out again."""
    registered(lab, on_conflict="rescue", mode="upsert", primary_key=("id",))
    lab.send({"id": 1, "n": "many"})
    lab.cycle()
    change(lab, on_conflict="quarantine")
    lab.account()
    with pytest.raises(ReplayRefusedError, match="1 records that are in the table") as caught:
        lab.load(replay=[FIRST])
    assert "undo the change" in caught.value.remedy
    assert lab.metastore.get("t").status is Status.LIVE
    lab.account()


def test_rows_of_an_append_table_go_to_quarantine_when_they_are_refused_now(lab: Lab) -> None:
    registered(lab, on_conflict="rescue")
    lab.send({"id": 1, "n": "many"}, reason=CONFLICT)
    lab.cycle()
    change(lab, on_conflict="quarantine")
    lab.load(replay=[FIRST])
    assert [r["id"] for r in lab.rows()] == [99]
    lab.account()


def test_a_flood_of_rescued_values_stops_the_redrive_and_no_table(lab: Lab) -> None:
    registered(lab, max_quarantine_ratio=1.0)
    lab.send({"id": 1, "n": 1})
    lab.send_all([{"id": n, "n": "many"} for n in range(120)], reason=CONFLICT)
    lab.cycle()
    change(lab, on_conflict="rescue")
    with pytest.raises(ReplayRefusedError, match="max_rescued_ratio"):
        drive(lab)
    assert lab.metastore.get("t").status is Status.LIVE
    lab.account()
    mend(lab)
    change(lab, max_rescued_ratio=1.0)
    assert drive(lab).fates == (Fate(CONFLICT, 120, {}),)
    lab.account()


def test_a_lower_ratio_than_when_they_came_stops_nothing(lab: Lab) -> None:
    registered(lab, max_quarantine_ratio=1.0)
    lab.send({"id": 1, "n": 1})
    lab.send_all([{"id": n, "n": "many"} for n in range(30)], reason=CONFLICT)
    lab.cycle()
    change(lab, max_quarantine_ratio=0.0)
    assert drive(lab).fates == (Fate(CONFLICT, 0, {CONFLICT: 30}),)
    lab.account()


def test_batches_of_many_commits_are_replayed_whole_so_that_totals_hold(lab: Lab) -> None:
    registered(lab)
    for n in range(4):
        lab.send({"id": n, "n": n})
        if n == 2:
            lab.send({"id": 20, "n": "many"}, reason=CONFLICT)
        lab.dump()
    lab.load()
    mend(lab)
    found = planned(lab)
    assert (found.records, found.batches, len(found.seqs)) == (5, 1, 1)
    drive(lab)
    lab.account()
    assert totals(lab) == (6, 0, 0, 0, 0)


class TestRescued:
    def widen(self, lab: Lab) -> None:
        """As ADD and widening DDL do."""
        active = lab.metastore.active_schema("t")
        assert active is not None
        fields = [
            replace(f, type=Scalar("string")) if f.name == "n" else f for f in active.source.fields
        ]
        wider = Struct(tuple(fields))
        lab.metastore.add_schema_version("t", active.version, wider, wider, ["test"])

    def begun(self, lab: Lab) -> None:
        registered(lab, on_conflict="rescue")
        for hour in range(3):
            lab.send({"id": hour, "n": "many" if hour == 1 else hour})
            lab.cycle()
            lab.now_ms += HOUR_MS

    def test_batches_that_rescued_are_applied_again(self, lab: Lab) -> None:
        self.begun(lab)
        self.widen(lab)
        found = planned(lab, rescued=True)
        assert (dict(found.rescued), found.records, found.uncounted) == ({"n": 1}, 1, 0)
        outcome = drive(lab, rescued=True)
        assert (outcome.batches, outcome.rescued) == (1, {})
        assert {r["id"]: (r["n"], r.get("_rescued")) for r in lab.rows()}[1] == ("many", None)
        assert drive(lab, rescued=True).batches == 0

    def test_what_fits_no_better_stays(self, lab: Lab) -> None:
        self.begun(lab)
        assert drive(lab, rescued=True).rescued == {"n": 1}
        lab.account()

    def test_batches_that_nobody_counted_are_all_applied_again(self, lab: Lab) -> None:
        self.begun(lab)
        uncounted = replace_rescued(lab)
        found = planned(lab, rescued=True)
        assert (found.uncounted, found.records) == (uncounted, 4)
        assert planned(lab, rescued=True, windows=[SECOND]).records == 1
        drive(lab, rescued=True)
        assert planned(lab, rescued=True).uncounted == 0

    def test_without_the_column_nothing_was_ever_rescued(self, lab: Lab) -> None:
        begun(lab)
        assert planned(lab, rescued=True).seqs == frozenset()


def replace_rescued(lab: Lab) -> int:
    """As batches of releases that did not count are."""
    from sqlalchemy import text

    with lab.metastore._engine.begin() as connection:
        return connection.execute(text("UPDATE batches SET rescued = NULL")).rowcount


class TestLook:
    def test_newest_first_by_reason_window_and_version(self, lab: Lab) -> None:
        begun(lab)
        found = quarantined.look(lab.store, "t")
        assert [(g.window, g.reason, g.schema_version, g.records) for g in found.groups] == [
            (SECOND, CONFLICT, 1, 1), (SECOND, NO_JSON, 1, 1), (FIRST, CONFLICT, 1, 1),
        ]  # fmt: skip
        assert found.complete
        assert found.by_reason == {CONFLICT: 2, NO_JSON: 1}
        assert not quarantined.look(lab.store, "t", most_objects=1).complete
        assert not quarantined.look(lab.store, "t", most_bytes=10).complete

    def test_records_as_they_came(self, lab: Lab) -> None:
        registered(lab, **UPSERT)
        lab.send(b'{"id": 1, "n": 1.50, "x": "\xc3\xa9"}', key=b"\xff", reason=CONFLICT)
        lab.send(b"\xff\xfe", key="k", reason=Reason.NOT_UTF8.value)
        lab.send(None, key="no number", reason=Reason.TOMBSTONE_KEY.value)
        lab.cycle()
        one, two, three = quarantined.records(lab.store, "t", quarantined.wanted())
        by_offset = {r.offset: r for r in (one, two, three)}
        places = {(r.partition, r.timestamp, r.window) for r in by_offset.values()}
        assert places == {(0, NOW_MS, FIRST)}
        assert by_offset[1].value == '{"id": 1, "n": 1.50, "x": "é"}'
        assert by_offset[1].key == "/w=="
        assert (by_offset[2].value, by_offset[2].encoded) == ("//4=", True)
        assert (by_offset[3].value, by_offset[3].key) == (None, "no number")
        assert {r.raw_commit for r in by_offset.values()} == {2}


def _story(lab: Lab, mode: dict[str, Any]) -> None:
    begun(lab, **mode)
    if mode:
        lab.send(None, key="0")
        lab.send({"id": 5, "n": 5}, key="5")
        lab.cycle()
    lab.limits = replace(lab.limits, batch_bytes=1)
    mend(lab)


def _end(lab: Lab) -> tuple[Any, ...]:
    lab.account()
    quarantine = sorted((q["record"]["offset"], q["reason"]) for q in lab.quarantined())
    assert not any("leaving" in q for q in lab.quarantined())
    found = totals(lab)  # a delete that is replayed twice finds nothing to delete
    counted = found[0], found[-1], sum(found)
    return lab.plain_rows(), quarantine, counted, lab.metastore.progress("t").replaying


@pytest.mark.slow
@pytest.mark.parametrize("mode", sampled([{}, UPSERT], UPSERT))
@pytest.mark.parametrize(
    ("calls", "when", "error"),
    [
        pytest.param(CHANGES, "before", None, id="killed before"),
        pytest.param(CHANGES, "after", None, id="killed after", marks=pytest.mark.deep),
        pytest.param(
            STORE_CALLS, "before", StorageUnavailableError("no answer"),
            id="storage away", marks=pytest.mark.deep,
        ),
    ],
)  # fmt: skip
def test_cut_off_anywhere_and_done_again_there_is_one_outcome(
    make_lab: MakeLab, mode: dict[str, Any], calls: frozenset[str], when: str, error: Any
) -> None:
    undisturbed = make_lab()
    _story(undisturbed, mode)
    drive(undisturbed)
    expected = _end(undisturbed)
    place, reached = 0, True
    while reached:
        place += 1
        lab = make_lab()
        _story(lab, mode)
        trap = Trap(place, calls, when, **({"error": error} if error else {}))
        reached = _disturbed(lab, trap)
        lab.workers.crash()
        drive(lab)
        assert _end(lab) == expected, trap.where
    assert place > 10


def _disturbed(lab: Lab, trap: Trap) -> bool:
    """Nothing is nowhere, also right after."""
    try:
        drive(lab, ports=faulty_ports(lab, trap))
    except (Fault, StorageUnavailableError):
        held = {q["record"]["offset"] for q in lab.quarantined()}
        held |= {r["_kafka_offset"] for r in lab.rows()}
        gone = {r.offset for r in lab.sent["t"] if r.offset not in held}
        assert len(gone) <= (2 if lab.dataset().mode == "upsert" else 0), (trap.where, gone)
        return True
    return False


def test_the_next_load_ends_what_was_cut_off(lab: Lab) -> None:
    """Rows that later records deleted are gone again without another redrive."""
    _story(lab, UPSERT)
    running = Redrive("t", lab.ports(), lab.limits, quarantined.wanted())
    next(iter(running.run()))
    lab.workers.crash()
    assert lab.metastore.progress("t").replaying
    lab.load()
    lab.account()
    assert not lab.metastore.progress("t").replaying
    assert lab.load() == []

"""The Metastore port on SQLite in memory and in a file, and on PostgreSQL when there is one.

LAKE_TEST_POSTGRES_URL names an empty database the tests may write to; each test gets a schema.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from lake_platform.domain.alerts import Alert
from lake_platform.domain.batches import AppliedBatch, BatchRange, WriteResult
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision
from lake_platform.domain.diff import Change
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.offsets import Gap
from lake_platform.domain.ports import Metastore
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.telling import HeldAlert, ReceiverState
from lake_platform.domain.transform import Transform
from lake_platform.domain.windows import EARLIEST_MS
from lake_platform.errors import (
    ConflictError,
    DatasetNotFoundError,
    IncidentNotFoundError,
    InvalidFieldError,
    LakeError,
    NameTakenError,
)
from lake_platform.metastore import migrations
from lake_platform.metastore.engine import open_engine, upgrade
from lake_platform.metastore.incident import Outcome
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.metastore.tables import Base
from tests.simulation.metastore import DictMetastore

POSTGRES = os.environ.get("LAKE_TEST_POSTGRES_URL", "")
SOURCE = Struct((Field("id", Scalar("long")), Field("name", Scalar("string"))))
ORDERS = Dataset(
    topic="orders", table="orders", mode="upsert", primary_key=("id",), tags={"tier": "gold"}
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


def postgres_schema() -> Iterator[str]:
    url = make_url(POSTGRES).set(drivername="postgresql+psycopg")
    name = f"t{uuid.uuid4().hex}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    scoped = url.update_query_dict({"options": f"-csearch_path={name}"})
    yield scoped.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    admin.dispose()


@pytest.fixture(params=["memory", "file", "postgres", "simulation"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "memory":
        yield "sqlite://"
    elif request.param == "simulation":
        if "store" not in request.fixturenames:
            pytest.skip("has no database")
        yield ""
    elif request.param == "file":
        yield f"sqlite:///{tmp_path / 'deep' / 'metastore.db'}"
    elif POSTGRES:
        yield from postgres_schema()
    else:
        pytest.skip("LAKE_TEST_POSTGRES_URL is not set")


@pytest.fixture
def store(url: str) -> Iterator[Repository]:
    # The simulation's has no database, and the rest of what the tests ask for.
    repository = open_repository(url, Clock()) if url else cast(Repository, DictMetastore(Clock()))
    yield repository
    repository.close()


@pytest.fixture
def orders(store: Repository) -> Repository:
    store.register(ORDERS, SOURCE, "ann")
    return store


def result(
    first: int, last: int, *, written: int, epoch: int = 1, replay: bool = False, bad: int = 0
) -> WriteResult:
    balance = Balance(records=written + bad, written=written, quarantined=bad)
    applied = AppliedBatch(
        BatchRange(first, last),
        last,
        epoch,
        f"i{first}-{epoch}",
        1,
        replay=replay,
        balance=balance,
        quarantine_keys=("q/1",),
    )
    return WriteResult(applied, SOURCE, files=2, bytes=1000)


def race(count: int, act: Callable[[int], object]) -> list[object]:
    """Runs `act` in threads that start together; returns results and errors."""
    outcomes: list[object] = [None] * count
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        ready.wait(10)
        try:
            outcomes[number] = act(number)
        except LakeError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def test_is_the_port(store: Repository) -> None:
    port: Metastore = store
    assert port is store


def test_registered_dataset_comes_back_as_it_was(orders: Repository) -> None:
    record = orders.get("orders")
    assert record.dataset == ORDERS
    assert (record.version, record.status) == (1, Status.REGISTERED)
    schema = orders.active_schema("orders")
    assert schema is not None
    assert (schema.version, schema.source, schema.table) == (1, SOURCE, SOURCE)
    assert orders.progress("orders").head_seq == 0


def test_table_schema_is_open_until_transforms_ran(store: Repository) -> None:
    step = Transform(sql="SELECT id FROM input")
    store.register(Dataset(topic="t", table="t", transforms=(step,)), SOURCE, "ann")
    schema = store.active_schema("t")
    assert schema is not None
    assert schema.table is None
    assert store.get("t").dataset.transforms == (step,)


def test_unknown_dataset_is_named(store: Repository) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.get("nope"),
        lambda: store.progress("nope"),
        lambda: store.update_progress("nope", head_seq=1),
        lambda: store.set_status("nope", Status.LIVE),
        lambda: store.block("nope", [], "b", []),
        lambda: store.record_batch("nope", result(1, 1, written=1), {}),
        lambda: store.add_schema_version("nope", 0, SOURCE, None, []),
        lambda: store.accept_gaps("nope", [Gap(0, 0, 1)]),
        lambda: store.update("nope", {}, 1, "ann"),
        lambda: store.schema_versions("nope"),
    ]
    for call in calls:
        with pytest.raises(DatasetNotFoundError, match="'nope'"):
            call()


@pytest.mark.parametrize("table", ["orders", "ORDERS"])
def test_taken_name_is_refused_also_in_other_case(orders: Repository, table: str) -> None:
    with pytest.raises(NameTakenError):
        orders.register(Dataset(topic="x", table=table), SOURCE, "bob")
    assert [r.dataset.table for r in orders.list_all()] == ["orders"]
    assert orders.name_taken(table)
    assert not orders.name_taken("other")


def test_one_of_many_registrations_wins(store: Repository) -> None:
    outcomes = race(4, lambda n: store.register(Dataset(topic=f"t{n}", table="one"), None, "x"))
    lost = [o for o in outcomes if isinstance(o, NameTakenError)]
    assert len(lost) == 3
    assert len(store.audit_log("one")) == 1


def test_update_is_compare_and_set(orders: Repository) -> None:
    changed = orders.update("orders", {"owner": "team", "max_lag_seconds": 60}, 1, "bob")
    assert (changed.version, changed.dataset.owner, changed.dataset.max_lag_seconds) == (
        2,
        "team",
        60,
    )
    with pytest.raises(ConflictError, match="version 2"):
        orders.update("orders", {"owner": "late"}, 1, "bob")
    assert orders.get("orders").dataset.owner == "team"
    entry = orders.audit_log("orders")[0]
    assert (entry.actor, entry.action) == ("bob", "update")
    assert entry.before == {"max_lag_seconds": 900, "owner": ""}
    assert entry.after == {"max_lag_seconds": 60, "owner": "team"}


def test_one_of_many_updates_wins(orders: Repository) -> None:
    outcomes = race(6, lambda n: orders.update("orders", {"owner": f"o{n}"}, 1, f"a{n}"))
    assert sum(isinstance(o, ConflictError) for o in outcomes) == 5
    assert orders.get("orders").version == 2
    assert len(orders.audit_log("orders")) == 2


def test_update_refuses_what_cannot_change(orders: Repository) -> None:
    for changes in ({"topic": "other"}, {"colour": "red"}, {"max_lag_seconds": "5"}):
        with pytest.raises(InvalidFieldError) as caught:
            orders.update("orders", changes, 1, "bob")
        assert caught.value.field == next(iter(changes))
    assert orders.update("orders", {"owner": ""}, 1, "bob").version == 1
    assert len(orders.audit_log("orders")) == 1


def test_paused_dataset_keeps_what_ingest_found(orders: Repository) -> None:
    orders.pause("orders", "bob")
    orders.set_status("orders", Status.LIVE)
    assert orders.get("orders").status is Status.PAUSED
    assert orders.resume("orders", "bob").status is Status.LIVE


def test_retired_dataset_stays_retired_and_is_not_listed(orders: Repository) -> None:
    orders.retire("orders", "bob")
    orders.set_status("orders", Status.LIVE)
    assert orders.get("orders").status is Status.RETIRED
    assert orders.list_all() == []
    assert len(orders.list_all(include_retired=True)) == 1
    for act in (orders.resume, orders.pause):
        with pytest.raises(InvalidFieldError, match="retired"):
            act("orders", "bob")
    with pytest.raises(NameTakenError):
        orders.register(ORDERS, SOURCE, "bob")


@pytest.mark.parametrize("status", ["REGISTERED", "BOOTSTRAPPING", "LIVE", "BLOCKED", "PAUSED"])
def test_unretired_it_is_what_it_was(orders: Repository, status: str) -> None:
    if status == "BLOCKED":
        orders.block("orders", [], "b1", [])
    elif status == "PAUSED":
        orders.set_status("orders", Status.LIVE)
        orders.block("orders", [], "b1", [])
        orders.pause("orders", "bob")
    else:
        orders.set_status("orders", Status(status))
    orders.retire("orders", "bob")
    orders.retire("orders", "bob")
    closed = [(i.status, i.resolution, i.resolved_by) for i in orders.incidents("orders")]
    assert closed == [("RESOLVED", "retired", "bob")] * (status in {"BLOCKED", "PAUSED"})
    back = orders.unretire("orders", "ann")
    # Its incident is closed: what it was blocked by is found again.
    assert back.status is Status("LIVE" if status == "BLOCKED" else status)
    if status == "PAUSED":
        assert orders.resume("orders", "bob").status is Status.LIVE
    with pytest.raises(InvalidFieldError, match="not retired"):
        orders.unretire("orders", "ann")
    assert orders.list_all()


def test_a_load_that_blocks_after_the_table_was_retired(orders: Repository) -> None:
    orders.retire("orders", "bob")
    orders.block("orders", [], "b1", [])
    assert orders.get("orders").status is Status.RETIRED
    assert orders.incidents("orders", "OPEN") == []


def test_unretired_without_a_note_of_what_it_was(orders: Repository, url: str) -> None:
    """As releases before this one retired."""
    if url in {"", "sqlite://"}:
        pytest.skip("a database in memory has no second connection")
    for head_seq, status in ((0, Status.REGISTERED), (3, Status.BOOTSTRAPPING)):
        orders.update_progress("orders", head_seq=head_seq)
        orders.retire("orders", "bob")
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE datasets SET retired_from = NULL"))
        engine.dispose()
        assert orders.unretire("orders", "ann").status is status


def test_block_opens_one_incident_per_batch_until_resolved(orders: Repository) -> None:
    change = Change("id", "type", "breaking", "long", "string")
    first = orders.block("orders", [change], "b1", [{"id": "x", "raw": b"bytes"}])
    assert orders.block("orders", [change], "b1", []) == first
    orders.set_status("orders", Status.LIVE)
    assert orders.get("orders").status is Status.BLOCKED
    assert orders.blocked_tables() == {"orders"}
    incident = orders.incident(first)
    assert incident.changes[0]["path"] == "id"
    assert incident.samples[0]["id"] == "x"
    second = orders.block("orders", [change], "b2", [])
    assert [i.id for i in orders.incidents("orders", "OPEN")] == [second, first]
    orders.settle(first, Outcome("cast"), "ann")
    assert orders.get("orders").status is Status.BLOCKED
    orders.settle(second, Outcome("cast"), "ann")
    assert orders.get("orders").status is Status.LIVE
    assert orders.blocked_tables() == set()
    assert orders.incident(second).resolved_by == "ann"
    with pytest.raises(IncidentNotFoundError):
        orders.settle(99, Outcome("cast"), "ann")


def test_a_resolution_is_one_act_with_all_that_follows(orders: Repository) -> None:
    change = Change("name", "type", "breaking", "string", "long")
    more = {"name": {"records": 3, "share": 0.5, "first": {"offset": 7}}}
    incident = orders.block("orders", [change], "000000000002-000000000004", [], details=more)
    assert orders.incident(incident).changes[0]["records"] == 3
    source = Struct((Field("id", Scalar("long")),))
    outcome = Outcome(
        "reject", [Decision("name", "reject", 2, 5)],
        SchemaVersion(2, source, SOURCE, changes=("DROP COLUMN name",)),
        {"name": {"drop": True}},
    )  # fmt: skip
    closed = orders.settle(incident, outcome, "ann")
    assert (closed.status, closed.resolution, closed.resolved_by) == ("RESOLVED", "reject", "ann")
    (decision,) = orders.decisions("orders")
    assert (decision.path, decision.first_seq, decision.last_seq) == ("name", 2, 5)
    assert (decision.incident, decision.actor) == (incident, "ann")
    active = orders.active_schema("orders")
    assert active is not None
    assert (active.version, active.source) == (2, source)
    assert orders.get("orders").dataset.columns == {"name": {"drop": True}}
    assert orders.settle(incident, outcome, "ann") == closed
    with pytest.raises(InvalidFieldError, match="was resolved"):
        orders.settle(incident, Outcome("rescue"), "bob")
    assert len(orders.decisions("orders")) == 1


def test_a_late_look_at_what_was_decided_opens_nothing(orders: Repository) -> None:
    """A writer had begun before the operator spoke."""
    change = Change("name", "type", "breaking", "string", "long")
    incident = orders.block("orders", [change], "000000000002-000000000004", [])
    decided = Outcome("rescue", [Decision("name", "rescue", 2, 4)])
    orders.settle(incident, decided, "ann")
    assert orders.block("orders", [change], "000000000002-000000000003", []) == incident
    assert orders.get("orders").status is Status.LIVE
    later = orders.block("orders", [change], "000000000005-000000000005", [])
    assert later != incident
    other = Change("id", "type", "breaking", "long", "string")
    assert orders.block("orders", [change, other], "000000000002-000000000004", []) > later


def test_a_decision_for_always_ends_where_it_is_told(orders: Repository) -> None:
    incident = orders.block("orders", [], "000000000002-000000000002", [])
    orders.settle(incident, Outcome("rescue", [Decision("name", "rescue", 2)]), "ann")
    (decision,) = orders.decisions("orders")
    assert decision.last_seq is None
    assert orders.end_decision("orders", decision.id, 9, "bob").last_seq == 9
    assert orders.end_decision("orders", decision.id, 12, "bob").last_seq == 9
    for unknown in (0, 99, 1 << 70):
        with pytest.raises(InvalidFieldError, match="decision"):
            orders.end_decision("orders", unknown, 9, "bob")


def test_block_keeps_a_paused_dataset_paused(orders: Repository) -> None:
    orders.pause("orders", "bob")
    incident = orders.block("orders", [], "b1", [])
    assert orders.get("orders").status is Status.PAUSED
    assert orders.resume("orders", "bob").status is Status.BLOCKED
    orders.settle(incident, Outcome("drop_column"), "bob")
    assert orders.get("orders").status is Status.LIVE


def test_schema_versions_follow_one_another(orders: Repository) -> None:
    wider = Struct((*SOURCE.fields, Field("email", Scalar("string"))))
    version = orders.add_schema_version("orders", 1, wider, wider, ["new column email string"])
    assert orders.active_schema("orders") == version
    assert [(v.version, v.status) for v in orders.schema_versions("orders")] == [
        (1, "SUPERSEDED"),
        (2, "ACTIVE"),
    ]
    with pytest.raises(ConflictError):
        orders.add_schema_version("orders", 1, SOURCE, None, [])


def test_a_schema_version_keeps_who_made_it_and_how_paths_came_to_columns(
    orders: Repository,
) -> None:
    def line(version: int, column: str, share: float | None) -> Mapped:
        return Mapped(("@x",), column, "long", ("renamed",), f"v{version}", share, "1")

    orders.add_schema_version("orders", 1, SOURCE, None, [], "bob", mapped=[line(2, "at_x", 0.5)])
    orders.add_schema_version("orders", 2, SOURCE, None, [], mapped=[line(3, "at_x", None)])
    assert [v.actor for v in orders.schema_versions("orders")] == ["ann", "bob", "platform"]
    # What only grew keeps the line it was made by.
    assert orders.mapping("orders") == [(2, line(2, "at_x", 0.5))]
    assert orders.mapping("orders", upto=1) == []
    lines_of = orders.mappings()
    assert lines_of("orders") == orders.mapping("orders")
    assert lines_of("nope") == []


def test_one_of_many_schema_versions_wins(orders: Repository) -> None:
    outcomes = race(4, lambda n: orders.add_schema_version("orders", 1, SOURCE, None, [str(n)]))
    assert sum(isinstance(o, ConflictError) for o in outcomes) == 3
    assert len(orders.schema_versions("orders")) == 2


def test_first_schema_version_can_come_later(store: Repository) -> None:
    store.register(Dataset(topic="t", table="t"), None, "ann")
    assert store.active_schema("t") is None
    assert store.add_schema_version("t", 0, SOURCE, SOURCE, []).version == 1


def test_progress_never_moves_a_seq_backwards(orders: Repository) -> None:
    orders.update_progress("orders", head_seq=7, applied_seq=5, reported_seq=4, backlog=9)
    orders.update_progress("orders", head_seq=3, applied_seq=6, reported_seq=1, backlog=2)
    orders.update_progress("orders", dump_error="Kafka away")
    found = orders.progress("orders")
    assert (found.head_seq, found.applied_seq, found.reported_seq) == (7, 6, 4)
    assert (found.backlog, found.last_error) == (2, "Kafka away")
    with pytest.raises(TypeError, match="hed_seq"):
        orders.update_progress("orders", hed_seq=1)


def test_how_often_and_since_when_a_phase_fails(orders: Repository) -> None:
    assert orders.progress("orders").failed_loads == 0
    orders.update_progress("orders", load_error="x", load_error_kind="EngineError")
    first = orders.progress("orders")
    assert (first.failed_loads, first.failed_dumps) == (1, 0)
    assert first.load_failing_since > 0
    assert first.dump_failing_since == 0
    orders.update_progress("orders", load_error="y")
    again = orders.progress("orders")
    assert (again.failed_loads, again.load_failing_since) == (2, first.load_failing_since)
    orders.update_progress("orders", load_error="", load_error_kind="")
    over = orders.progress("orders")
    assert (over.failed_loads, over.load_failing_since) == (2, 0)
    orders.update_progress("orders", dump_error="z")
    assert orders.progress("orders").dump_failing_since > first.load_failing_since


def test_alerts_come_back_as_they_were(orders: Repository) -> None:
    if not isinstance(orders, Repository):
        pytest.skip("no simulation tells anybody")
    blocked = Alert("LakeTableBlocked", "orders", "7", "it is BLOCKED", "lake incidents show 7")
    late = Alert("LakeTableLate", "x" * 249, "", "it is late", "look")
    first = HeldAlert(blocked, 5, told={"slack": 6, "email": 7})
    second = HeldAlert(late, 4, 5, 6)
    orders.keep_alerts([first, second])
    assert orders.held_alerts() == [second, first]
    orders.keep_alerts([replace(first, told={})], [late.key])
    assert orders.held_alerts() == [replace(first, told={})]
    state = ReceiverState("slack", 1, 2, 3, 4, "HTTP 500")
    orders.keep_receiver(ReceiverState("email"))
    orders.keep_receiver(replace(state, tries=9))
    orders.keep_receiver(state)
    assert orders.receivers()["slack"] == state
    orders.drop_receivers(["email"])
    assert orders.receivers() == {"email": ReceiverState("email")}
    orders.beat("alerts", 1)
    orders.beat("alerts", 2)
    assert orders.beats() == {"alerts": 2}


def test_progress_of_many_writers_ends_at_the_greatest(orders: Repository) -> None:
    def write(number: int) -> None:
        for seq in range(number, 60, 4):
            orders.update_progress("orders", head_seq=seq)

    assert race(4, write) == [None] * 4
    assert orders.progress("orders").head_seq == 59


def test_batch_is_counted_once(orders: Repository) -> None:
    windows = {"2026-11-24-03:00": 12}
    for _ in range(2):
        orders.record_batch("orders", result(1, 3, written=10, bad=2), windows)
    found = orders.progress("orders")
    assert (found.records, found.quarantined, found.applied_seq) == (10, 2, 3)
    [batch] = orders.batches("orders")
    assert batch.windows == windows
    assert batch.balance.records == 12


def test_batch_of_many_writers_is_counted_once(orders: Repository) -> None:
    race(4, lambda _: orders.record_batch("orders", result(1, 3, written=10), {}))
    assert orders.progress("orders").records == 10


def test_replayed_batch_replaces_its_numbers(orders: Repository) -> None:
    orders.record_batch("orders", result(1, 3, written=10, bad=2), {})
    orders.record_batch("orders", result(4, 4, written=5), {})
    orders.record_batch("orders", result(1, 3, written=12, epoch=2, replay=True), {})
    orders.record_batch("orders", result(1, 3, written=10, bad=2), {})  # late, of the old epoch
    found = orders.progress("orders")
    assert (found.records, found.quarantined, found.applied_seq) == (17, 0, 4)


def test_raw_commits_in_two_batches_are_counted_once(orders: Repository) -> None:
    orders.record_batch("orders", result(1, 3, written=10), {})
    orders.record_batch("orders", result(1, 5, written=25, epoch=2), {})
    assert orders.progress("orders").records == 25
    orders.record_batch("orders", result(2, 2, written=3, epoch=3, replay=True), {})
    orders.record_batch("orders", result(5, 7, written=9, epoch=4, replay=True), {})
    assert orders.progress("orders").records == 25


def test_counted_batches_say_what_they_rescued(orders: Repository) -> None:
    orders.record_batch("orders", result(1, 3, written=10), {}, {"n": 2})
    orders.record_batch("orders", result(4, 4, written=5), {})
    orders.record_batch("orders", result(5, 6, written=5), {}, {})
    orders.record_batch("orders", result(2, 2, written=3, epoch=3, replay=True), {}, {"n": 9})
    found = orders.counted_batches("orders", 2, 4)
    assert [(c.batch.first_seq, c.batch.last_seq, c.rescued) for c in found] == [
        (1, 3, {"n": 2}), (4, 4, None),
    ]  # fmt: skip
    orders.record_batch("orders", result(1, 3, written=12, epoch=4, replay=True), {}, {})
    assert [c.rescued for c in orders.counted_batches("orders", 1, 9)] == [{}, None, {}]


def test_rescued_values_are_counted_once(orders: Repository) -> None:
    def total() -> int:
        return orders.progress("orders").rescued

    orders.record_batch("orders", result(1, 3, written=10), {}, {"n": 2, "m": 1})
    orders.record_batch("orders", result(4, 4, written=5), {})
    orders.record_batch("orders", result(4, 4, written=5), {}, {"n": 9})  # told again
    assert total() == 3
    orders.record_batch("orders", result(2, 2, written=3, epoch=3, replay=True), {}, {"n": 9})
    assert total() == 3, "a part of a batch that is counted"
    orders.record_batch("orders", result(1, 3, written=12, epoch=4, replay=True), {}, {"n": 7})
    assert total() == 7
    orders.record_batch("orders", result(1, 5, written=12, epoch=5), {}, {})
    assert total() == 0


def test_rescued_values_of_many_writers_add_up(orders: Repository) -> None:
    race(
        4,
        lambda n: orders.record_batch("orders", result(n, n, written=1, epoch=n + 1), {}, {"n": 2}),
    )
    found = orders.progress("orders")
    assert (found.records, found.rescued) == (4, 8)


def test_a_batch_says_where_its_time_went(orders: Repository) -> None:
    orders.record_batch("orders", result(1, 3, written=1), {}, seconds={"decode": 0.5, "write": 2})
    orders.record_batch("orders", result(4, 4, written=5), {}, {"n": 1})
    newest, first = orders.batches("orders")
    assert (first.seconds, newest.seconds) == ({"decode": 0.5, "write": 2}, None)
    assert (first.rescued, newest.rescued) == (None, {"n": 1})


def test_a_batch_says_what_its_casts_lost(orders: Repository) -> None:
    lost = {"n": Lost(10, 2, {"partition": 0, "offset": 1, "value": "n/a"}), "d": Lost(10, 0)}
    orders.record_batch("orders", result(1, 3, written=10), {}, {}, lost)
    orders.record_batch("orders", result(4, 4, written=5), {})
    assert [b.lost for b in orders.batches("orders")] == [None, {"n": 2, "d": 0}]


def test_gap_is_accepted_once(orders: Repository) -> None:
    gap = Gap(0, 10, 20, "ann")
    orders.accept_gaps("orders", [gap])
    orders.accept_gaps("orders", [gap, Gap(1, 0, 5, "ann")])
    assert list(orders.accepted_gaps("orders")) == [gap, Gap(1, 0, 5, "ann")]
    assert [e.action for e in orders.audit_log("orders")] == [
        "accept_gap",
        "accept_gap",
        "register",
    ]


@pytest.mark.parametrize("act", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log"])
def test_audit_log_takes_no_change(orders: Repository, url: str, act: str) -> None:
    if url in {"", "sqlite://"}:
        pytest.skip("a database in memory has no second connection")
    engine = open_engine(url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(act))
    engine.dispose()
    assert [e.actor for e in orders.audit_log()] == ["ann"]


def test_many_that_start_at_once_migrate_once(url: str) -> None:
    if url == "sqlite://":
        pytest.skip("a database in memory belongs to one")
    outcomes = race(4, lambda _: open_repository(url, Clock()).close())
    assert outcomes == [None] * 4


def test_migrations_make_exactly_the_tables(url: str) -> None:
    engine = open_engine(url)
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def test_the_first_window_only_moves_back(orders: Repository) -> None:
    for at, held in ((5_000, 5_000), (9_000, 5_000), (3_000, 3_000)):
        orders.update_progress("orders", begins_at=at)
        assert orders.progress("orders").begins_at == held


def test_errors_of_before_are_those_of_loads(url: str) -> None:
    """A database of a release that kept one error for both phases."""
    if url == "simulation":
        pytest.skip("has no database")
    engine = open_engine(url)
    with engine.begin() as connection:
        migrate(connection, "0002")
        connection.execute(
            text(
                "INSERT INTO datasets (table_name, table_fold, definition, version, status,"
                " registered_at) VALUES ('orders', 'orders', :d, 1, 'BLOCKED', 1)"
            ),
            {"d": json.dumps(dataset_to_dict(ORDERS))},
        )
        names = [c["name"] for c in inspect(connection).get_columns("progress")][1:]
        values = ", ".join("'too many are bad'" if n == "last_error" else "7" for n in names)
        connection.execute(
            text(
                f"INSERT INTO progress (table_name, {', '.join(names)}) VALUES ('orders', {values})"
            )
        )
        connection.execute(
            text(
                "INSERT INTO incidents (table_name, status, batch, changes, samples, opened_at,"
                " resolution, resolved_by) VALUES ('orders', 'OPEN', 'b', '[]', '[]', 1, '', '')"
            )
        )
    upgrade(engine)
    store = Repository(engine, Clock())
    progress = store.progress("orders")
    assert (progress.load_error, progress.dump_error) == ("too many are bad", "")
    assert (progress.records, progress.load_failures, progress.quarantined_deletes) == (7, 0, 0)
    assert progress.begins_at == EARLIEST_MS  # nobody noted it
    # Since its last success, which was at 7: nobody noted when it first failed.
    assert (progress.load_failing_since, progress.dump_failing_since) == (8, 0)
    assert progress.failed_loads == 0
    (incident,) = store.incidents("orders")
    assert (incident.kind, incident.reason) == ("schema", "")
    assert store.resume("orders", "ann").status is Status.BLOCKED
    store.close()


def test_loads_that_fail_alike_block_until_resumed(orders: Repository) -> None:
    orders.update_progress("orders", load_failures=3, load_error="no such column")
    incident = orders.block("orders", (), "b1", (), "engine", "no such column")
    assert orders.block("orders", (), "b1", (), "engine", "no such column") == incident
    assert (orders.blocked_tables("schema"), orders.blocked_tables("engine")) == (set(), {"orders"})
    held = orders.incident(incident)
    assert (held.kind, held.reason) == ("engine", "no such column")
    assert orders.resume("orders", "ann").status is Status.LIVE
    assert orders.incident(incident).resolution == "try again"
    assert orders.progress("orders").load_failures == 0
    assert [e.action for e in orders.audit_log("orders")][:2] == ["status", "resolve"]


def test_a_rule_that_blocks_is_tried_again(orders: Repository) -> None:
    sample = {"rule": "price.min", "partition": 0, "offset": 1}
    incident = orders.block("orders", (), "b1", [sample], "rule", "price.min is broken by 1 rows")
    held = orders.incident(incident)
    assert (held.kind, held.samples) == ("rule", (sample,))
    assert orders.blocked_tables("schema") == set()
    assert orders.resume("orders", "ann").status is Status.LIVE
    assert orders.incident(incident).resolution == "try again"


def test_a_breaking_change_beside_it_stays(orders: Repository) -> None:
    breaking = orders.block("orders", (), "b1", ())
    failing = orders.block("orders", (), "b1", (), "engine", "no such column")
    assert orders.resume("orders", "ann").status is Status.BLOCKED
    assert [i.id for i in orders.incidents("orders", "OPEN")] == [breaking]
    assert orders.incident(failing).status == "RESOLVED"
    orders.settle(breaking, Outcome("cast"), "ann")
    assert orders.get("orders").status is Status.LIVE


def test_columns_without_values_are_dropped_once(orders: Repository) -> None:
    """The lowest limits of `absent_for`, and all of it an hour ago."""
    if isinstance(orders, DictMetastore):
        pytest.skip("the simulation drops no columns")
    source = Struct((Field("id", Scalar("long")), Field("a", Scalar("long"))))
    orders.add_schema_version("orders", 1, source, None, [])
    policy = {"absent_for": {"batches": 2, "hours": 1, "records": 2}}
    orders.update("orders", policy, orders.get("orders").version, "ann")
    for seq, absent in [(1, []), (2, ["a"]), (3, ["a"])]:
        orders.record_batch("orders", result(seq, seq, written=1), {}, absent=absent)
    assert orders.drop_absent("orders") == []
    cast("Clock", orders._clock).now += 3_600_000
    found = race(4, lambda _: list(orders.drop_absent("orders")))
    assert sorted(map(str, found)) == ["['a']", "[]", "[]", "[]"]
    active = orders.active_schema("orders")
    assert active is not None
    assert ([f.name for f in active.source.fields], active.version) == (["id"], 3)
    assert orders.get("orders").dataset.columns == {"a": {"drop": True}}


def test_who_reads_the_raw_of_another_has_its_progress(orders: Repository) -> None:
    reader = replace(ORDERS, table="reader", raw_from="orders")
    assert orders.register(reader, SOURCE, "test").status is Status.BOOTSTRAPPING
    orders.update_progress("orders", head_seq=3, records_ingested=30, applied_seq=2)
    orders.update_progress("reader", applied_seq=1)
    found = orders.progress("reader")
    assert (found.head_seq, found.records_ingested, found.applied_seq) == (3, 30, 1)
    assert [r.dataset.table for r in orders.readers("orders")] == ["reader"]
    assert not orders.readers("reader")
    orders.retire("reader", "test")
    assert not orders.readers("orders")

"""Samples of throughput and lag, in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Dataset
from lake_platform.metastore.engine import open_engine, upgrade
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.metastore.samples import SLOT_MS, SLOTS
from lake_platform.metastore.tables import SampleRow
from tests.contract.test_metastore import ORDERS, SOURCE, migrate, race, result
from tests.contract.test_metastore import url as url  # noqa: PLC0414 - a fixture

START = 3_000_000 * SLOT_MS


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Repository]:
    if not url:
        pytest.skip("the simulation keeps no samples")
    repository = open_repository(url, clock)
    repository.register(ORDERS, SOURCE, "ann")
    repository.register(Dataset(topic="t", table="other"), None, "ann")
    yield repository
    repository.close()


def test_a_slot_has_the_newest_totals_and_the_most_lag(store: Repository, clock: Clock) -> None:
    clock.now += 60_000
    store.update_progress("orders", head_seq=1, records_ingested=10)
    clock.now += 60_000
    store.record_batch("orders", result(1, 1, written=9), {})
    store.update_progress("orders", complete_through=clock.now, complete_as_of=clock.now)
    clock.now += 5_000
    store.update_progress("orders", head_seq=2, records_ingested=30)
    found = store.samples(["orders", "other"])
    assert found["other"] == []
    [sample] = found["orders"]
    assert (sample.at, sample.records_ingested, sample.records) == (clock.now, 30, 9)
    assert sample.lag_ms == 120_000, "what it was before the table was complete"


def test_they_go_back_a_day_and_no_table_has_more(store: Repository, clock: Clock) -> None:
    for number in range(SLOTS + 20):
        clock.now = START + number * SLOT_MS
        store.update_progress("orders", records_ingested=number)
        store.update_progress("other", records_ingested=1)
    kept = store.samples(["orders"])["orders"]
    assert [s.records_ingested for s in kept] == list(range(20, SLOTS + 20))
    with Session(store._engine) as session:
        assert session.scalar(select(func.count()).select_from(SampleRow)) == 2 * SLOTS
    clock.now += 100 * SLOT_MS
    assert len(store.samples(["orders"])["orders"]) == SLOTS - 100, "old ones are not shown"


def test_writers_at_once_keep_one(store: Repository) -> None:
    def write(number: int) -> None:
        for seq in range(number, 40, 4):
            store.update_progress("orders", head_seq=seq, records_ingested=seq)

    assert race(4, write) == [None] * 4
    [sample] = store.samples(["orders"])["orders"]
    assert sample.records_ingested == store.progress("orders").records_ingested == 39


def test_what_a_rebuild_loads_has_none(store: Repository) -> None:
    store.begin_rebuild(ORDERS, "orders.rebuild-1", 1, "ann")
    store.update_progress("orders.rebuild-1", applied_seq=3)
    assert store.samples(["orders.rebuild-1"]) == {"orders.rebuild-1": []}
    store.drop_rebuild("orders", "orders.rebuild-1", "ann")
    assert store.rebuild("orders") is None


def test_rescued_values_of_before_are_added_up(url: str, clock: Clock) -> None:
    """A database of a release that kept them by batch only."""
    if not url:
        pytest.skip("has no database")
    engine = open_engine(url)
    with engine.begin() as connection:
        migrate(connection, "0010")
        connection.execute(
            text(
                "INSERT INTO datasets (table_name, table_fold, definition, version, status,"
                " registered_at, raw_after, raw_until) VALUES ('orders', 'orders', :d, 1, 'LIVE',"
                " 1, 0, 0)"
            ),
            {"d": json.dumps(dataset_to_dict(ORDERS))},
        )
        connection.execute(
            text(
                "INSERT INTO progress (table_name, head_seq, applied_seq, reported_seq,"
                " records_ingested, bytes_ingested, records, quarantined, deleted, deduplicated,"
                " dropped, backlog, complete_as_of, complete_through, dumped_at, loaded_at)"
                " VALUES ('orders', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
            )
        )
        for number, (rescued, counted) in enumerate(
            (('{"n": 2, "m": 3}', True), ('{"n": 4}', True), ('{"n": 8}', False), (None, True))
        ):
            connection.execute(
                text(
                    "INSERT INTO batches (table_name, batch, first_seq, last_seq, applied, epoch,"
                    " instant, schema_version, replay, counted, balance, windows,"
                    " quarantine_keys, files, bytes, recorded_at, rescued) VALUES ('orders', :b,"
                    " 1, 1, 1, 1, 'i', 1, :no, :c, '{}', '{}', '[]', 1, 1, 1, :r)"
                ),
                {"b": str(number), "c": counted, "no": False, "r": rescued},
            )
    upgrade(engine)
    store = Repository(engine, clock)
    assert store.progress("orders").rescued == 9
    store.close()

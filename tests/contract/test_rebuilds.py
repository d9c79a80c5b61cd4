"""Rebuilds in the metastore: the real one and the simulation's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.diff import Change
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import (
    ConflictError,
    DatasetNotFoundError,
    InvalidFieldError,
    NameTakenError,
)
from lake_platform.metastore.repository import Repository
from tests.contract.test_metastore import ORDERS, SOURCE, orders, race, result, store, url

__all__ = ["orders", "store", "url"]
WANTED = replace(ORDERS, primary_key=("id", "name"))
TEXTS = Struct((Field("id", Scalar("string")), Field("name", Scalar("string"))))
NAME = "orders.rebuild-1"


def begin(store: Repository, version: int = 1, first: SchemaVersion | None = None) -> None:
    store.begin_rebuild(WANTED, NAME, version, "eve", begins_after=1000, first=first)


def first_version() -> SchemaVersion:
    line = Mapped(("id",), "id", "string", ("hint",), "string by hint", None, "")
    return SchemaVersion(1, TEXTS, TEXTS, changes=("id: long became string",), mapped=(line,))


def test_what_a_rebuild_loads_is_no_dataset(orders: Repository) -> None:
    begin(orders)
    known = orders.rebuild("orders")
    assert known is not None and known.actor == "eve" and known.base_version == 1
    assert (known.shadow.table, known.shadow.raw_table) == (NAME, "orders")
    assert (known.shadow.first_epoch, known.shadow.settles) == (1000, True)
    assert known.shadow.live == WANTED
    assert orders.get(NAME).dataset == known.shadow
    assert orders.get(NAME).status is Status.BOOTSTRAPPING
    assert [r.dataset.table for r in orders.list_all(include_retired=True)] == ["orders"]
    with pytest.raises(NameTakenError):
        orders.register(Dataset(topic="x", table=NAME), None, "ann")


def test_there_is_one_rebuild_of_a_table(orders: Repository) -> None:
    begun = race(4, lambda n: orders.begin_rebuild(WANTED, f"orders.rebuild-{n}", 1, "eve"))
    refused = [b for b in begun if isinstance(b, InvalidFieldError)]
    assert len(refused) == 3
    assert "is being rebuilt" in str(refused[0])


def test_a_definition_stands_still_while_its_table_is_rebuilt(orders: Repository) -> None:
    with pytest.raises(ConflictError):
        begin(orders, version=2)
    begin(orders)
    with pytest.raises(InvalidFieldError, match="is being rebuilt"):
        orders.update("orders", {"owner": "eve"}, 1, "eve")
    orders.drop_rebuild("orders", NAME, "eve")
    assert orders.update("orders", {"owner": "eve"}, 1, "eve").version == 2


def test_a_retired_table_is_not_rebuilt(orders: Repository) -> None:
    orders.retire("orders", "ann")
    with pytest.raises(InvalidFieldError, match="is retired"):
        begin(orders)


def test_a_rebuild_that_is_dropped_leaves_nothing(orders: Repository) -> None:
    begin(orders, first=first_version())
    orders.record_batch(NAME, result(1, 2, written=3), {"w": 3})
    orders.drop_rebuild("orders", NAME, "eve")
    orders.drop_rebuild("orders", NAME, "eve")
    assert orders.rebuild("orders") is None
    with pytest.raises(DatasetNotFoundError):
        orders.get(NAME)
    assert orders.get("orders").dataset == ORDERS
    assert [e.action for e in orders.audit_log("orders")][:2] == ["abort_rebuild", "begin_rebuild"]


def test_a_rebuilt_table_takes_the_place_of_the_live_one(orders: Repository) -> None:
    orders.record_batch("orders", result(1, 1, written=5, bad=2), {"w": 7})
    orders.update_progress(
        "orders", head_seq=4, records_ingested=9, load_error="no", load_failures=2
    )
    orders.set_status("orders", Status.LIVE)
    orders.block("orders", [Change("id", "type", "breaking", "long", "string")], "b", [])
    begin(orders, first=first_version())
    known = orders.rebuild("orders")
    assert known is not None and not known.shadow.settles
    orders.add_schema_version(NAME, 1, TEXTS, TEXTS, ["more"])
    key = f"quarantine/{NAME}/w/1.json.gz"
    applied = replace(
        result(1, 4, written=8, bad=1, epoch=1001).applied, quarantine_keys=(key,), schema_version=2
    )
    orders.record_batch(NAME, replace(result(1, 4, written=8), applied=applied), {"w": 9})

    assert orders.swap_in("orders", NAME)
    assert not orders.swap_in("orders", NAME)

    record = orders.get("orders")
    assert (record.dataset, record.version, record.status) == (WANTED, 2, Status.LIVE)
    versions = orders.schema_versions("orders")
    assert [(v.version, v.status, v.actor) for v in versions] == [
        (1, "SUPERSEDED", "ann"), (2, "SUPERSEDED", "eve"), (3, "ACTIVE", "eve"),
    ]  # fmt: skip
    assert versions[1].changes == ("id: long became string",)
    assert [(v, m.column) for v, m in orders.mapping("orders")] == [(2, "id")]
    (batch,) = orders.batches("orders")
    assert (batch.batch, batch.schema_version, batch.epoch) == (
        "000000000001-000000000004",
        3,
        1001,
    )
    assert batch.quarantine_keys == ("quarantine/orders/w/1.json.gz",)
    progress = orders.progress("orders")
    assert (progress.applied_seq, progress.records, progress.quarantined) == (4, 8, 1)
    assert (progress.head_seq, progress.records_ingested) == (4, 9)
    assert (progress.load_error, progress.load_failures) == ("", 0)
    (incident,) = orders.incidents("orders")
    assert (incident.status, incident.resolution, incident.resolved_by) == (
        "RESOLVED", "rebuilt", "eve",
    )  # fmt: skip
    with pytest.raises(DatasetNotFoundError):
        orders.get(NAME)
    begin(orders, version=2)


def test_a_paused_table_stays_paused(orders: Repository) -> None:
    orders.block("orders", [Change("id", "type", "breaking", "long", "string")], "b", [])
    orders.pause("orders", "ann")
    begin(orders)
    assert orders.swap_in("orders", NAME)
    assert orders.get("orders").status is Status.PAUSED
    assert orders.resume("orders", "ann").status is Status.LIVE
    assert orders.schema_versions("orders")[0].source == SOURCE

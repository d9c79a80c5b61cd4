"""Sync and drift over the catalog in memory: idempotent, careful with what is not ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lake_platform.adapters.memory.catalog import MemoryCatalog
from lake_platform.catalog.drift import drift
from lake_platform.catalog.entries import Wanted, wanted
from lake_platform.catalog.sync import sync
from lake_platform.domain.catalog import OWNER, Column, Stored
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import CatalogUnavailableError, ForeignTableError

LONG = Scalar("long")
DATASET = Dataset(topic="t", table="orders")
ONE = Struct((Field("id", LONG), Field("day", Scalar("string"))))


def stored(columns: Struct = ONE, days: int = 2, version: int = 1, keys: str = "day") -> Stored:
    folders = tuple(((f"d{n}",), f"{keys}=d{n}") for n in range(days))
    return Stored(columns, version, "mor", (keys,), folders)


def want(held: Stored) -> Wanted:
    return wanted(DATASET, held, "s3://bucket")


def test_a_second_sync_asks_and_changes_nothing() -> None:
    catalog = MemoryCatalog()
    first = sync(want(stored()), catalog)
    assert {s.action for s in first} == {"created"}
    assert {s.added for s in first} == {2}
    catalog.calls.clear()
    assert {s.action for s in sync(want(stored()), catalog)} == {"same"}
    assert set(catalog.calls) == {"entry", "partitions"}


@pytest.mark.parametrize("broken_at", range(12))
def test_a_sync_that_was_cut_off_anywhere_is_ended_by_the_next(broken_at: int) -> None:
    catalog, grown = MemoryCatalog(), Struct((*ONE.fields, Field("new", LONG)))
    sync(want(stored()), catalog)
    real, left = catalog._called, [broken_at]

    def called(what: str, name: str = "") -> None:
        left[0] -= 1
        if left[0] == -1:
            raise CatalogUnavailableError("memory", what, "cut off")
        real(what, name)

    catalog._called = called  # type: ignore[method-assign]
    with pytest.raises(CatalogUnavailableError):
        sync(want(stored(grown, days=3)), catalog)
    sync(want(stored(grown, days=3)), catalog)
    assert {s.action for s in sync(want(stored(grown, days=3)), catalog)} == {"same"}
    assert drift(want(stored(grown, days=3)), stored(grown, 3), None, catalog).sound


def test_partitions_that_are_gone_go_and_changed_ones_follow() -> None:
    catalog = MemoryCatalog()
    sync(want(stored(days=3)), catalog)
    grown = Struct((*ONE.fields, Field("new", LONG)))
    done = sync(want(stored(grown, days=1)), catalog)
    assert {(s.action, s.added, s.updated, s.dropped) for s in done} == {("updated", 0, 1, 2)}
    (held,) = catalog.partitions("orders").values()
    assert [c.name for c in held.columns] == ["id", "new"]


def test_other_keys_make_the_entry_anew() -> None:
    catalog = MemoryCatalog()
    sync(want(stored()), catalog)
    done = sync(want(stored(keys="id")), catalog)
    assert {(s.action, s.added) for s in done} == {("made anew", 2)}
    assert "partition keys: day string -> id bigint" in done[0].changes
    assert {s.action for s in sync(want(stored(keys="id")), catalog)} == {"same"}


def test_one_entry_of_somebody_else_leaves_all_as_they_are() -> None:
    catalog, needed = MemoryCatalog(), want(stored())
    theirs = replace(needed.entries[2], parameters={OWNER: "orders@s3://another"})
    catalog.create(theirs)
    for act in (
        lambda: sync(needed, catalog),
        lambda: drift(needed, stored(), None, catalog),
    ):
        with pytest.raises(
            ForeignTableError, match=r"orders_ro.*is of dataset orders@s3://another"
        ):
            act()
    assert catalog.entries == {theirs.name: theirs}


def test_parameters_of_others_stay_and_parts_of_a_longer_schema_go() -> None:
    catalog = MemoryCatalog()
    long = Struct(tuple(Field(f"column_{n}", LONG) for n in range(300)))
    sync(want(stored(long, 0)), catalog)
    held = catalog.entries["orders"]
    catalog.entries["orders"] = replace(held, parameters={**held.parameters, "theirs": "x"})
    done = sync(want(stored(days=0)), catalog)
    assert done[0].action == "updated"
    parameters = catalog.entries["orders"].parameters
    assert parameters["theirs"] == "x"
    assert [n for n in parameters if ".part." in n] == ["spark.sql.sources.schema.part.0"]
    assert sync(want(stored(days=0)), catalog)[0].action == "same"


def test_drift_names_columns_partitions_and_what_is_otherwise() -> None:
    catalog, held = MemoryCatalog(), stored()
    needed = want(held)
    sync(needed, catalog)
    entry = catalog.entries["orders"]
    catalog.entries["orders"] = replace(
        entry, columns=(Column("id", "string"), Column("alien", "int")), location="s3://else"
    )
    catalog.drop("orders_ro")
    gone, stays = needed.partitions
    catalog.drop_partitions("orders", [gone.values])
    catalog.put_partitions(
        entry, [replace(gone, values=("d9",))], [replace(stays, location="s3://else")]
    )
    found = drift(needed, held, SchemaVersion(1, ONE), catalog)
    assert not found.sound
    told = {(d.place, d.what): (d.lake, d.catalog) for d in found.differences}
    assert told[("orders", "id")] == ("bigint", "string")
    assert told[("orders", "alien")] == ("", "int")
    assert told[("orders_ro", "table")] == ("there", "")
    assert told[("orders", "partition d0")] == ("there", "")
    assert told[("orders", "partition d9")] == ("", "there")
    assert told[("orders", "partition d1")][1] == "with other columns or location"
    assert any("s3://else" in what for _, what in told)


def test_lake_and_metastore_are_compared_too() -> None:
    catalog, held = MemoryCatalog(), stored()
    sync(want(held), catalog)
    other = Struct((Field("id", Scalar("int")), Field("more", LONG)))
    found = drift(want(held), held, SchemaVersion(1, other), catalog)
    told = {d.what: (d.lake, d.metastore, d.waits) for d in found.differences}
    assert told == {
        "id": ("bigint", "int", False), "day": ("string", "", False), "more": ("", "bigint", False)
    }  # fmt: skip
    assert not found.sound
    # The table's newest batch is older than that version: the next load brings it.
    waiting = drift(want(held), held, SchemaVersion(2, other), catalog)
    assert waiting.sound
    assert all(d.waits for d in waiting.differences)

"""What every Catalog promises, on the one in memory and on Glue's API (moto)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from lake_platform.adapters.glue.client import GlueCatalog
from lake_platform.adapters.memory.catalog import MemoryCatalog
from lake_platform.domain.catalog import OWNER, Catalog, Column, Entry, Partition
from lake_platform.errors import CatalogUnavailableError
from tests.glue_server import aws_keys, glue_client, glue_url

__all__ = ["aws_keys", "glue_client", "glue_url"]

ENTRY = Entry(
    name="orders",
    location="s3://bucket/lake/orders",
    columns=(Column("id", "bigint", "primary key"), Column("o", "struct<a:int,b:array<string>>")),
    keys=(Column("day", "string"), Column("hour", "int")),
    input_format="in",
    output_format="out",
    serde="serde",
    serde_parameters={"path": "s3://bucket/lake/orders"},
    parameters={OWNER: "orders@s3://bucket", "EXTERNAL": "TRUE"},
    description="Orders of the shop",
)


def partitions(count: int, first: int = 0) -> list[Partition]:
    return [
        Partition((f"d{n}", str(n)), f"s3://bucket/lake/orders/day=d{n}/hour={n}", ENTRY.columns)
        for n in range(first, first + count)
    ]


@pytest.fixture(params=["memory", "glue"])
def catalog(request: pytest.FixtureRequest) -> Catalog:
    name = f"db_{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        return MemoryCatalog(name)
    client: Any = request.getfixturevalue("glue_client")
    return GlueCatalog(client, name, sleep=lambda _: None)


def test_the_database_is_made_once(catalog: Catalog) -> None:
    assert catalog.ensure()
    assert not catalog.ensure()


def test_an_entry_comes_back_as_it_was_put(catalog: Catalog) -> None:
    catalog.ensure()
    assert catalog.entry("orders") is None
    catalog.create(ENTRY)
    assert catalog.entry("orders") == ENTRY
    grown = replace(
        ENTRY,
        columns=(*ENTRY.columns, Column("new", "decimal(9,2)")),
        parameters={**ENTRY.parameters, "theirs": "x"},
        description="",
    )
    catalog.update(grown)
    assert catalog.entry("orders") == grown


def test_a_second_create_is_refused_and_changes_nothing(catalog: Catalog) -> None:
    catalog.ensure()
    catalog.create(ENTRY)
    with pytest.raises(CatalogUnavailableError, match="making table orders"):
        catalog.create(replace(ENTRY, location="s3://else"))
    assert catalog.entry("orders") == ENTRY


def test_partitions_come_and_go(catalog: Catalog) -> None:
    """More than one request takes, of each kind."""
    catalog.ensure()
    catalog.create(ENTRY)
    assert catalog.partitions("orders") == {}
    held = partitions(230)
    catalog.put_partitions(ENTRY, held, [])
    assert catalog.partitions("orders") == {p.values: p for p in held}
    changed = [replace(p, columns=(Column("id", "string"),)) for p in held[:150]]
    catalog.put_partitions(ENTRY, partitions(3, 500), changed)
    expected = {p.values: p for p in (*held, *changed, *partitions(3, 500))}
    assert catalog.partitions("orders") == expected
    gone = [p.values for p in held[100:]]
    catalog.drop_partitions("orders", gone)
    assert catalog.partitions("orders") == {v: p for v, p in expected.items() if v not in gone}


def test_partitions_another_writer_put_are_brought_up_to_date(catalog: Catalog) -> None:
    catalog.ensure()
    catalog.create(ENTRY)
    old = [replace(p, location="s3://old") for p in partitions(2)]
    catalog.put_partitions(ENTRY, old, [])
    catalog.put_partitions(ENTRY, partitions(4), [])
    assert catalog.partitions("orders") == {p.values: p for p in partitions(4)}


def test_dropping_takes_the_partitions_along_and_may_be_repeated(catalog: Catalog) -> None:
    catalog.ensure()
    catalog.create(ENTRY)
    catalog.put_partitions(ENTRY, partitions(2), [])
    catalog.drop_partitions("orders", [("not", "there")])
    catalog.drop("orders")
    catalog.drop("orders")
    assert catalog.entry("orders") is None
    catalog.create(ENTRY)
    assert catalog.partitions("orders") == {}


def test_nothing_to_put_asks_nothing(catalog: Catalog) -> None:
    catalog.ensure()
    catalog.put_partitions(ENTRY, [], [])  # there is no such table
    catalog.drop_partitions("orders", [])
    assert catalog.entry("orders") is None

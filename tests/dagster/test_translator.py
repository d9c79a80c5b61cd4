"""Names: whatever a table may be called, its assets neither collide nor break the location."""

from itertools import product

import dagster as dg
import pytest
from dagster._core.definitions.utils import VALID_NAME_REGEX
from hypothesis import given
from hypothesis import strategies as st

from assets.standing import naming, steps
from assets.translator import (
    GROUP_TABLES,
    LAYERS,
    asset_key,
    groups,
    identifier,
    owners,
    table_of,
    table_schema,
    tags,
)
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.progress import DatasetRecord
from lake_platform.domain.schema import Array, Field, Scalar, Struct
from lake_platform.domain.transform import Transform
from tests.dagster.fakes import World, definitions

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True)
TWINS = ["a-b", "a_b", "a.b", "a__b", "a_mb", "a_db", "x__a_b", "x__a__b", "x__a_mb", "A-b"]


def record(table: str, at: int = 0, **values: object) -> DatasetRecord:
    dataset = Dataset(topic="t", table=table, **values)  # type: ignore[arg-type]
    return DatasetRecord(dataset, 1, Status.LIVE, at)


@given(NAMES, NAMES)
def test_identifiers_are_valid_and_differ_for_different_names(one: str, other: str) -> None:
    assert VALID_NAME_REGEX.match(identifier(one))
    assert (identifier(one) == identifier(other)) == (one == other)


def test_likely_twins_differ() -> None:
    assert len({identifier(name) for name in TWINS}) == len(TWINS)


def test_plain_names_stay_as_they_are() -> None:
    assert identifier("flights_daily") == "flights_daily"


def test_twins_live_in_one_code_location(world: World) -> None:
    twins = [t for t in TWINS if t != "A-b"]  # the metastore refuses case twins
    for position, table in enumerate(twins):
        world.register(table, topic=f"t{position}")
    keys = definitions(world).resolve_asset_graph().get_all_asset_keys()
    for layer, table in product(("raw", "lake", "quarantine"), twins):
        assert asset_key(layer, table) in keys  # type: ignore[arg-type]


def test_table_of_is_the_inverse_of_asset_key() -> None:
    assert table_of(asset_key("lake", "a.b"), "lake") == "a.b"
    assert table_of(asset_key("raw", "a.b"), "lake") is None


@pytest.mark.parametrize(
    ("owner", "shown"),
    [
        ("ann@example.com", ["ann@example.com"]),
        ("team:sales", ["team:sales"]),
        ("sales", ["team:sales"]),
        ("", []),
        ("Ann from sales", []),
        ("a@b", []),
        ("team:", []),
        ("ann@example.com\n", ["ann@example.com"]),
    ],
)
def test_only_valid_owners_reach_dagster(owner: str, shown: list[str]) -> None:
    assert owners(record("t", owner=owner).dataset) == shown


def test_tags_dagster_refuses_are_left_out() -> None:
    dataset = record(
        "t", tags={"ok": "v1", "bad value": "x", "spaced": "a b", "dagster/max_retries": "9"}
    ).dataset
    assert tags(dataset) == {"ok": "v1", "lake/mode": "append"}


def test_a_group_holds_at_most_fifty_tables_and_a_new_one_moves_none() -> None:
    records = [record(f"t{n}", at=n, domain="big-domain") for n in range(120)]
    before = groups(records)
    assert max(list(before.values()).count(g) for g in before.values()) == GROUP_TABLES
    assert len(set(before.values())) == 3
    after = groups([record("aaa", at=999, domain="big-domain"), *records])
    assert {t: after[t] for t in before} == before


def test_column_schema_shows_nested_columns_and_the_key() -> None:
    items = Array(Struct((Field("sku", Scalar("string")),)))
    schema = table_schema(Struct((Field("id", Scalar("long")), Field("items", items))), ["id"])
    assert [c.name for c in schema.columns] == ["id", "items", "items[].sku"]
    assert [c.constraints.nullable for c in schema.columns] == [False, True, True]


def test_the_layers_of_a_table_can_be_told_apart(world: World) -> None:
    """Dagster's graph names a node by the last part of its key, the table."""
    world.register("t", format="hudi")
    graph = definitions(world).resolve_asset_graph()
    shown = {
        layer: graph.get(asset_key(layer, "t")).kinds for layer in LAYERS if layer != "catalog"
    }
    assert shown == {
        "raw": {"raw", "kafka"},
        "lake": {"lake", "spark", "hudi"},
        "quarantine": {"quarantine", "json"},
    }  # fmt: skip


def test_the_page_of_a_table_shows_its_steps(world: World) -> None:
    sql = "SELECT *\nFROM input"
    steps = (Transform(sql=sql, name="all"), Transform(sql="SELECT id FROM input"))
    world.register("t", transforms=steps)
    world.register("plain", topic="p")
    graph = definitions(world).resolve_asset_graph()
    shown = graph.get(asset_key("lake", "t")).metadata["steps"]
    assert isinstance(shown, dg.MarkdownMetadataValue)
    assert shown.value == (
        f"**1. all**\n\n```sql\n{sql}\n```\n\n**2. sql**\n\n```sql\nSELECT id FROM input\n```"
    )
    assert "steps" not in graph.get(asset_key("lake", "plain")).metadata
    assert "steps" not in graph.get(asset_key("raw", "t")).metadata


def test_steps_that_are_code_are_shown_by_what_pins_them() -> None:
    jar = Transform(kind="jar", jar="a.jar", sha256="0" * 64, functions={"f": "com.x.F"})
    shown = steps(Dataset(topic="t", table="t", transforms=(jar,)))["steps"].value
    zeros = "0" * 64
    assert shown == (
        f"**1. jar**\n\n- jar: `a.jar`\n- functions: `f = com.x.F`\n- sha256: `{zeros}`"
    )


def test_runs_name_their_tables() -> None:
    assert naming(["b", "a"]) == {"lake/tables": "a, b"}
    many = naming(f"t{n:02}" for n in range(12))["lake/tables"]
    assert many.startswith("t00, t01, ") and many.endswith("t09 and 2 more")

"""Where columns come from, as Dagster shows it."""

from __future__ import annotations

import json

import dagster as dg

from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.translator import Translator, asset_key, pending_paths, table_schema
from assets.windows import Windows
from lake_platform.compose import build_use_cases
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Field, Map, Scalar, Struct
from lake_platform.domain.transform import Transform
from tests.dagster.fakes import World, definitions
from tests.dagster.test_phases import run

RECORDS = (
    {"id": 1, "@at": "x", "userId": 1, "n": 5, "none": None, "often": 1, "list": [None]},
    {"id": 2, "@at": "y", "userid": 2, "n": "five"},
)


def register(world: World, **fields: object) -> Dataset:
    world.kafka.create_topic("events")
    dataset = Dataset(topic="events", table="t", **fields)  # type: ignore[arg-type]
    for record in RECORDS:
        value = json.dumps(record).encode()
        world.kafka.produce("events", None, value, timestamp_ms=world.now_ms)
    build_use_cases(world.metastore, world.kafka).register_dataset(dataset, "ann")
    return dataset


def shown(world: World, layer: str) -> dict[str, dg.TableColumn]:
    return columns(metadata(world, layer))


def metadata(world: World, layer: str) -> dict[str, dg.MetadataValue]:
    graph = definitions(world).resolve_asset_graph()
    return dict(graph.get(asset_key(layer, "t")).metadata)  # type: ignore[arg-type]


def columns(found: dict[str, dg.MetadataValue]) -> dict[str, dg.TableColumn]:
    schema = found["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchemaMetadataValue)
    return {c.name: c for c in schema.schema.columns}


def test_columns_show_source_rule_and_share(world: World) -> None:
    register(world)
    for layer in ("raw", "lake"):
        found = shown(world, layer)
        at = found["at_at"]
        assert at.description is not None
        assert at.description.startswith('from `"@at"`; renamed (')
        assert at.description.endswith("; in 100 % of records")
        assert at.tags == {"lake/rule": "renamed", "lake/share": "1.0000"}
        assert found["userId"].description == "also `userid`; in 100 % of records"
        assert found["n"].tags["lake/rule"] == "text"
        assert found["often"].description == "in 50 % of records"
        assert found["id"].description is None
    assert metadata(world, "lake")["pending (no value so far)"].value == "none, list"


def test_columns_that_steps_make_say_nothing_of_records() -> None:
    step = Transform(sql="SELECT 1 AS at_at FROM input")
    dataset = Dataset(topic="events", table="t", transforms=(step,))
    source = Struct((Field("at_at", Scalar("string"), key="@at"),))
    version = SchemaVersion(1, source, Struct((Field("at_at", Scalar("int")),)))
    told = Mapped(("@at",), "at_at", "string", ("renamed",), "@ is no letter", 0.5, "")
    waits = Mapped(("none",), "", "", ("pending",), "", 0.5, "")
    lines = [(1, told), (1, waits)]
    made = Translator("s3://lake")
    raw = dict(made.spec(dataset, "raw", version, Windows().partitions(), lines).metadata)
    lake = dict(made.spec(dataset, "lake", version, Windows().partitions(), lines).metadata)
    assert columns(raw)["at_at"].tags == {"lake/rule": "renamed", "lake/share": "0.5000"}
    assert columns(lake)["at_at"].tags == {}
    assert columns(lake)["at_at"].description is None
    # A step may name it all the same.
    assert lake["pending (no value so far)"].value == "none"


def test_what_a_load_shows_has_it_too(world: World, instance: dg.DagsterInstance) -> None:
    register(world)
    run(world, instance, DUMP_JOB, "t")
    loaded = run(world, instance, LOAD_JOB, "t")
    [event] = loaded.get_asset_materialization_events()
    found = columns(dict(event.materialization.metadata))
    assert found["at_at"].tags["lake/rule"] == "renamed"
    assert found["often"].description == "in 50 % of records"


def test_key_map_and_odd_texts() -> None:
    struct = Struct(
        (Field("id", Scalar("long")), Field("m", Map(Struct((Field("x", Scalar("json")),)))))
    )
    lines = [
        (1, Mapped(("m",), "m", "", ("map",), "keys \ud800", 0.0004, "")),
        (1, Mapped(("m", None, "x"), "m{}.x", "", (), "", None, "")),
    ]
    found = {c.name: c for c in table_schema(struct, ["id"], lines).columns}
    assert found["id"].description == "primary key"
    assert found["id"].constraints.nullable is False
    assert found["m"].description == "map (keys \\ud800); in <0.1 % of records"
    assert found["m{}.x"].description is None


def test_pending_paths_are_cut() -> None:
    lines = [(1, Mapped((f"p{n}",), "", "", ("pending",), "", 0.1, "")) for n in range(120)]
    assert pending_paths(lines).endswith("p99 and 20 more")
    assert pending_paths([]) == ""

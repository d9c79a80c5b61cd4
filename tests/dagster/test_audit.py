"""The daily audit: one check a table, apart from the load, and what it says."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from assets.audit import AUDIT, AUDIT_JOB
from assets.checks import check_key
from assets.jobs import DUMP_JOB, LOAD_JOB
from lake_platform.audit.sources import Sources, TableLook
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import StorageUnavailableError, TableUnreadableError
from tests.audit_support import StoredFiles
from tests.dagster.fakes import FakePlatform, World, definitions
from tests.dagster.test_phases import run

SCHEMA = pa.schema(
    [("_kafka_partition", pa.int64()), ("_kafka_offset", pa.int64()),
     ("_kafka_timestamp", pa.timestamp("us", "UTC"))]
)  # fmt: skip


class Reader:
    """A table of one partition that has the first `rows` records; `error` is raised instead."""

    def __init__(self, world: World, rows: int, error: Exception | None = None) -> None:
        self.world, self.rows, self.error = world, rows, error
        self.columns = SCHEMA

    def look(self, dataset: Dataset) -> TableLook:
        return TableLook(self.world.engine.state(dataset).applied, "1")

    def schema(self, dataset: Dataset) -> pa.Schema:  # noqa: ARG002 - port
        return self.columns

    def batches(self, dataset: Dataset, columns: Any) -> Any:  # noqa: ARG002
        if self.error:
            raise self.error
        now = self.world.now_ms
        rows = [
            {"_kafka_partition": 0, "_kafka_offset": n, "_kafka_timestamp": now * 1000}
            for n in range(self.rows)
        ]  # fmt: skip
        yield from pa.Table.from_pylist(rows, SCHEMA).to_batches()


@pytest.fixture
def readers(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Reader]:
    """The table's reader by its format; tests put theirs in."""
    held: dict[str, Reader] = {}
    topic: Any = None  # the audit from digests reads none
    sources = Sources(world.metastore, StoredFiles(world.ports.store), topic, lambda f: held[f])
    monkeypatch.setattr(FakePlatform, "audit_sources", lambda _: sources)
    return held


def audited(
    world: World, instance: dg.DagsterInstance
) -> dict[dg.AssetCheckKey, dg.AssetCheckEvaluation]:
    done = definitions(world).resolve_job_def(AUDIT_JOB).execute_in_process(instance=instance)
    assert done.success
    return {e.asset_check_key: e for e in done.get_asset_check_evaluations()}


def loaded(world: World, instance: dg.DagsterInstance, table: str, **definition: Any) -> None:
    world.register(table, **definition)
    world.produce(table, {"id": 1}, {"id": 2})
    assert run(world, instance, DUMP_JOB, table).success
    result = run(world, instance, LOAD_JOB, table)
    assert result.success
    assert AUDIT not in {e.check_name for e in result.get_asset_check_evaluations()}


def test_every_table_is_judged_in_one_run(
    world: World, instance: dg.DagsterInstance, readers: dict[str, Reader]
) -> None:
    loaded(world, instance, "sound.one")
    loaded(world, instance, "short-one", format="parquet")
    readers |= {"hudi": Reader(world, 2), "parquet": Reader(world, 1)}
    found = audited(world, instance)
    sound, short = (found[check_key(t, AUDIT)] for t in ("sound.one", "short-one"))
    assert sound.passed
    assert not short.passed
    assert short.severity == dg.AssetCheckSeverity.ERROR
    assert "1 lost, 0 duplicated, 0 alien" in str(short.description)
    assert short.metadata["lost"].value == 1
    assert "2026-11-01-00:00" in str(short.metadata["not_sound"].value)


def test_what_digests_cannot_decide_is_said(
    world: World, instance: dg.DagsterInstance, readers: dict[str, Reader]
) -> None:
    loaded(world, instance, "t", mode="upsert", primary_key=("id",))
    readers["hudi"] = Reader(world, 0)
    readers["hudi"].columns = pa.schema([("id", pa.int64())])
    (result,) = audited(world, instance).values()
    assert result.passed
    assert "1 of 1 windows cannot be decided" in str(result.description)
    assert "lake audit t --deep" in str(result.description)
    assert result.metadata["verdict"].value == "needs --deep"


@pytest.mark.parametrize(
    ("kind", "severity"),
    [
        (TableUnreadableError, dg.AssetCheckSeverity.ERROR),
        (StorageUnavailableError, dg.AssetCheckSeverity.WARN),
    ],
)
def test_one_table_that_cannot_be_audited_keeps_no_other_from_it(
    world: World,
    instance: dg.DagsterInstance,
    readers: dict[str, Reader],
    kind: type[Exception],
    severity: dg.AssetCheckSeverity,
) -> None:
    loaded(world, instance, "t")
    loaded(world, instance, "other", format="parquet")
    world.register("new")
    error = kind("t", "DuckDB", "bad") if kind is TableUnreadableError else kind("no answer")
    readers |= {"hudi": Reader(world, 0, error), "parquet": Reader(world, 2)}
    found = audited(world, instance)
    broken = found[check_key("t", AUDIT)]
    assert (broken.passed, broken.severity) == (False, severity)
    assert str(error) in str(broken.description)
    assert found[check_key("other", AUDIT)].passed


def test_a_dataset_nobody_dumped_yet_is_fine(
    world: World, instance: dg.DagsterInstance, readers: dict[str, Reader]
) -> None:
    world.register("new")
    readers["hudi"] = Reader(world, 0)
    (result,) = audited(world, instance).values()
    assert result.passed
    assert result.description == "nothing was dumped yet"

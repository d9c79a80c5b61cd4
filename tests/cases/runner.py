"""Cases run as `lake try` runs them, in this process: one Spark session serves all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from lake_platform.domain.layout import table_prefix
from lake_platform.domain.own_columns import PLACE
from lake_platform.errors import LakeError
from lake_platform.metastore.model import parse_dataset
from lake_platform.trial.acts import parse_act
from lake_platform.trial.records import Record
from lake_platform.trial.report import quarantined
from lake_platform.trial.steps import Step
from lake_platform.trial.trial import CheckResult, Trial
from tests.corpora import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Row = dict[str, Any]
SHARED = DATA.parent / "cases"
Sent = dict[str, Any]


def value(**fields: Any) -> Sent:
    """A record whose value is `fields`."""
    return {"value_text": json.dumps(fields)}


def text(raw: str, key: str | None = None) -> Sent:
    return {"value_text": raw, "key": key}


def tombstone(key: str) -> Sent:
    return {"key": key, "value": None}


@dataclass
class Tried:
    """A trial a test goes through step by step. `refused`: what registration said, if it did."""

    trial: Trial
    home: Path
    session: Callable[[], SparkSession]
    refused: LakeError | None = None

    def batch(self, records: Iterable[Sent]) -> Step | None:
        """None when registration refused the dataset."""
        made = [_record(n, r) for n, r in enumerate(records, 1)]
        try:
            return self.trial.batch(iter(made), "batch")
        except LakeError as error:
            self.refused = error
            return None

    def load(self, *records: Sent) -> Step:
        """A batch that must be applied."""
        step = self.batch(records)
        assert step is not None, f"registration refused: {self.refused}"
        assert step.outcome == "applied", step.error
        assert step.balance.difference == 0, step.balance
        return step

    def act(self, op: str, **values: Any) -> Step:
        return self.trial.act(parse_act({"op": op, **values}))

    def replay(self) -> Step:
        step = self.act("replay")
        assert step.outcome == "applied", step.error
        return step

    def compact(self) -> None:
        step = self.act("compact")
        assert step.outcome == "done", step.error
        assert "put off" not in str(step.changes)

    def rows(self, *columns: str) -> list[Row]:
        """By the engine that did not write them; all columns but the coordinates, or `columns`.
        In the order of their text: that of no engine counts."""
        found = self.trial.rows()
        assert found.error is None, found.error
        rows = [
            {n: v for n, v in row.items() if n in columns or not (columns or n in PLACE)}
            for row in found.rows
        ]
        return sorted(rows, key=repr)

    def spark_rows(self, *columns: str) -> list[Row]:
        rows = self.trial.bench.spark_rows(self.trial.dataset)
        return sorted(({n: row[n] for n in columns} for row in rows), key=repr)

    def spark_frame(self) -> Any:
        dataset = self.trial.dataset
        reader = self.session().read.format(dataset.format)
        if dataset.format == "parquet":
            reader = reader.option("mergeSchema", "true")
        return reader.load(self.table.as_uri())

    def duck(self, select: str) -> list[tuple[Any, ...]]:
        """Rows of a Parquet table as DuckDB reads it; `select` is over `t`."""
        files = f"{self.table}/**/*.parquet"
        with duckdb.connect() as database:
            database.execute("SET TimeZone='UTC'")
            database.execute(
                f"CREATE VIEW t AS FROM read_parquet('{files}', union_by_name=true, "
                f"hive_partitioning=true, hive_types_autocast=false)"
            )
            return database.execute(select).fetchall()

    @property
    def table(self) -> Path:
        return self.home / "storage" / table_prefix(self.trial.table).rstrip("/")

    def folders(self) -> set[str]:
        return {p.name for p in self.table.iterdir() if p.is_dir() and not p.name.startswith(".")}

    def quarantine(self) -> list[Row]:
        return list(quarantined(self.trial))

    def incidents(self) -> list[Any]:
        return list(self.trial.bench.metastore.incidents(self.trial.table, "OPEN"))

    def check(self, name: str) -> CheckResult:
        return next(c for c in self.trial.checks(self.trial.rows()) if c.name == name)

    @property
    def said(self) -> str:
        """All that registration said, as refusal or warning."""
        warnings = self.trial.registration.warnings if self.trial.registration else ()
        return " ".join([str(self.refused or ""), *warnings])


Open = Callable[..., Tried]
"""`tried(dataset fields…)` opens a trial with a home of its own."""


def _record(number: int, given: Sent) -> Record:
    said = given.get("value_text")
    key = given.get("key")
    return Record(
        number,
        None if said is None else said.encode(),
        None if key is None else key.encode(),
        timestamp=given.get("timestamp"),
    )


@dataclass(frozen=True)
class Case:
    """One of the shared files: the failure reports of other tools."""

    dataset: Mapping[str, Any]
    batches: Sequence[Sequence[Sent]]

    def with_(self, **changes: Any) -> dict[str, Any]:
        return {**self.dataset, **changes}


def shared(name: str) -> Case:
    """Skips where the file is absent."""
    path = SHARED / f"{name}.json"
    if not path.is_file():
        pytest.skip("the shared cases are absent")
    found = json.loads(path.read_text())
    return Case(found["dataset"], found["batches"])


def dataset_of(fields: Mapping[str, Any]) -> Any:
    named = {"topic": "t", "table": "t", **fields}
    return parse_dataset(named)

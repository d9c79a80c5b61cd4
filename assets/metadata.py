"""Frozen results of the use cases as Dagster metadata and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import dagster as dg

from assets.standing import StandingOf
from assets.translator import Layer, asset_key, op_name, table_schema
from assets.windows import WindowTotals, when
from lake_platform.domain.casts import Lost, summed
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.described import Line
from lake_platform.domain.quality import Balance
from lake_platform.domain.windows import window_of_path
from lake_platform.load.results import LoadResult, WindowReport

LinesOf = Callable[[str], Sequence[Line]]
"""How the records of a table come to its columns (Schemas.mapping)."""
Metadata = dict[str, dg.MetadataValue]
_MOST_ROWS = 200  # of a table in the UI


def rows_table(rows: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    """The columns are those of the first row; an empty table is shown as `none`."""
    held = list(rows)[:_MOST_ROWS]
    if not held:
        return dg.MetadataValue.text("none")
    types = {int: "int", float: "float", bool: "bool"}
    schema = dg.TableSchema(
        columns=[dg.TableColumn(k, types.get(type(v), "string")) for k, v in held[0].items()]
    )
    return dg.MetadataValue.table(
        [dg.TableRecord({k: _cell(v) for k, v in r.items()}) for r in held], schema=schema
    )


def _cell(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def raw_event(table: str, window: str, totals: WindowTotals) -> dg.AssetMaterialization:
    """`totals` are those of one run: a window grows over many."""
    metadata: Metadata = {
        "records": dg.MetadataValue.int(totals.records),
        "rejected": dg.MetadataValue.int(totals.rejected),
        "objects": dg.MetadataValue.int(totals.objects),
        "raw_bytes": dg.MetadataValue.int(totals.raw_bytes),
        "stored_bytes": dg.MetadataValue.int(totals.stored_bytes),
        "raw_commits": dg.MetadataValue.text(f"{totals.first_seq}-{totals.last_seq}"),
        "first_record": dg.MetadataValue.timestamp(when(totals.min_timestamp)),
        "last_record": dg.MetadataValue.timestamp(when(totals.max_timestamp)),
    }
    return dg.AssetMaterialization(asset_key("raw", table), metadata=metadata, partition=window)


@dataclass(slots=True)
class _Loaded:
    """One window as the batches of a run left it."""

    records: int = 0
    batches: list[str] = field(default_factory=list)
    balance: Balance = field(default_factory=Balance)
    seconds: float = 0.0
    results: list[LoadResult] = field(default_factory=list)


class LoadTally:
    """Sums the batches of one run per window, and what they sent to quarantine."""

    def __init__(
        self,
        dataset: Dataset,
        lines_of: LinesOf = lambda _: (),
        standing_of: StandingOf = dict,
    ) -> None:
        self.dataset, self._lines_of, self._standing_of = dataset, lines_of, standing_of
        self.results: list[LoadResult] = []
        self._windows: dict[str, _Loaded] = {}
        self._schema_shown = 0

    def add(self, result: LoadResult) -> None:
        self.results.append(result)
        for window, records in result.windows.items():
            held = self._windows.setdefault(window, _Loaded())
            held.records += records
            held.batches.append(result.applied.batch.id)
            held.balance += result.applied.balance
            held.seconds += result.seconds
            held.results.append(result)

    @property
    def windows(self) -> set[str]:
        return set(self._windows)

    def event(self, window: str) -> dg.AssetMaterialization:
        """Counts of a batch are those of all its windows: a batch is applied as a whole."""
        held, newest = self._windows[window], self.results[-1]
        metadata: Metadata = {
            "records": dg.MetadataValue.int(held.records),
            "batches": dg.MetadataValue.text(", ".join(held.batches[-5:])),
            "batch_seconds": dg.MetadataValue.float(round(held.seconds, 3)),
            "schema_version": dg.MetadataValue.int(newest.schema_version),
            "replay": dg.MetadataValue.bool(newest.applied.replay),
            **self._standing_of(),
            **{f"batch_{k}": dg.MetadataValue.int(v) for k, v in asdict(held.balance).items()},
        }
        for name, counts in (
            ("batch_rescued", [r.rescued for r in held.results]),
            ("batch_left_out", [r.passed_over for r in held.results]),
        ):
            if summed_up := sum(map(Counter, counts), Counter()):
                rows = ({"path": path, "values": n} for path, n in summed_up.items())
                metadata[name] = rows_table(rows)
        if dropped := [name for r in held.results for name in r.dropped_columns]:
            metadata["columns_dropped"] = dg.MetadataValue.text(", ".join(dropped))
        lost = lost_rows(held.results)
        if lost:
            metadata["batch_lost_by_cast"] = rows_table(lost)
        if newest.schema_version != self._schema_shown:
            # Once a run and version: a wide schema is many times larger than the rest.
            self._schema_shown = newest.schema_version
            made_by_steps = self.dataset.transformed
            lines = () if made_by_steps else self._lines_of(self.dataset.table)
            metadata["dagster/column_schema"] = dg.MetadataValue.table_schema(
                table_schema(newest.table_schema, self.dataset.primary_key, lines)
            )
        key = asset_key("lake", self.dataset.table)
        return dg.AssetMaterialization(key, metadata=metadata, partition=window)


def lost_rows(results: Sequence[LoadResult]) -> list[dict[str, object]]:
    """What casts of the steps made NULL of, a row for each column that lost something."""
    found: dict[str, Lost] = {}
    for result in results:
        found = summed(found, result.lost)
    return [
        {
            "column": name, "rows": one.rows, "lost": one.lost, "share": round(one.share, 4),
            "value": one.first["value"],
            "record": f"p{one.first['partition']}/{one.first['offset']}",
        }
        for name, one in found.items()
        if one.first is not None
    ]  # fmt: skip


def quarantine_events(
    result: LoadResult, is_partition: Callable[[str], bool]
) -> list[dg.AssetMaterialization]:
    """One per window of the batch that has quarantined records, or had some that came back."""
    reasons = rows_table({"reason": r, "records": n} for r, n in result.quarantined.items())
    by_window: dict[str, list[str]] = {}
    for key in result.applied.quarantine_keys:
        by_window.setdefault(window_of_path(key), []).append(key)
    released = {window_of_path(key) for key in result.released}
    for window in released:
        by_window.setdefault(window, [])
    return [
        dg.AssetMaterialization(
            asset_key("quarantine", result.table),
            partition=window,
            metadata={
                "batch_records_by_reason": reasons,
                "batch_quarantined": sum(result.quarantined.values()),
                "batch": result.applied.batch.id,
                "objects": dg.MetadataValue.json(keys),
                "came_back": window in released,
            },
        )
        for window, keys in sorted(by_window.items())
        if is_partition(window)
    ]


def replay_config(table: str) -> str:
    """Where in a run config it says that windows are applied again, as YAML in one line."""
    return f"{{ops: {{{op_name('lake', table)}: {{config: {{replay: true}}}}}}}}"


def verified_event(report: WindowReport) -> dg.AssetMaterialization:
    metadata: Metadata = {
        "verified": dg.MetadataValue.text(
            f"already applied; raw retention removed {report.expired} raw objects of this window, "
            f"the others were read again and agree with their commits"
            if report.expired
            else f"already applied: raw objects and commits of this window were read again and "
            f"agree; to apply it again give the run config {replay_config(report.table)}"
        ),
        "records": dg.MetadataValue.int(report.records),
        "dagster/partition_row_count": dg.MetadataValue.int(report.records),
        "objects": dg.MetadataValue.int(report.objects),
        "raw_bytes": dg.MetadataValue.int(report.raw_bytes),
    }
    return dg.AssetMaterialization(
        asset_key("lake", report.table), metadata=metadata, partition=report.window
    )


def empty_event(layer: Layer, table: str, window: str) -> dg.AssetMaterialization:
    """A window a person asked for that has no records: a backfill over it would fail else."""
    why = "no record of this hour has come so far"
    return dg.AssetMaterialization(
        asset_key(layer, table), partition=window, metadata={"records": 0, "empty": why}
    )


def found_event(table: str, window: str, records: int) -> dg.AssetMaterialization:
    """A window that is in the table though no run could say so."""
    why = "applied by a run that ended before it could report, or outside Dagster"
    return dg.AssetMaterialization(
        asset_key("lake", table), partition=window, metadata={"records": records, "found": why}
    )


def changes_table(changes: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    """`domain.schema.Change` as dicts, as an incident holds them."""
    shown = {"column": "path", "change": "kind"}
    held = list(changes)
    names = ["column", "change", "verdict", "before", "after", "records"]
    names += ["registry"] if any("registry" in c for c in held) else []
    return rows_table({n: str(c.get(shown.get(n, n), "")) for n in names} for c in held)


def balance_table(batches: Mapping[str, Balance]) -> dg.MetadataValue:
    return rows_table(
        {"batch": batch, **asdict(b), "difference": b.difference} for batch, b in batches.items()
    )

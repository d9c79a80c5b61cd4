"""How a dataset stands, and what it is made by, as an operator looks for it on the asset's page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import dagster as dg

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.domain.transform import Transform

StandingOf = Callable[[], Mapping[str, dg.MetadataValue]]
TABLES_TAG = "lake/tables"
_MOST_NAMED = 10


def standing(record: DatasetRecord, progress: Progress) -> dict[str, dg.MetadataValue]:
    """As of a load. Of an upsert table nobody counts the rows but its check `primary_key`."""
    appends = record.dataset.mode == "append"
    rows = "dagster/row_count" if appends else "table_writes (updates count)"
    return {
        "table_status": dg.MetadataValue.text(record.status.value),
        rows: dg.MetadataValue.int(progress.records),
        "table_quarantined": dg.MetadataValue.int(progress.quarantined),
    }


def steps(dataset: Dataset) -> dict[str, dg.MetadataValue]:
    """The steps between records and rows, each as it is written; empty where there are none."""
    written = [
        f"**{position}. {step.name or step.kind}**\n\n{_written(step)}"
        for position, step in enumerate(dataset.transforms, 1)
    ]
    if dataset.explode:
        written.insert(0, f"a row for each element of `{dataset.explode}`")
    found: dict[str, dg.MetadataValue] = (
        {"steps": dg.MetadataValue.md("\n\n".join(written))} if written else {}
    )
    if dataset.delete_when:
        found["delete_when"] = dg.MetadataValue.text(dataset.delete_when)
    return found


def _written(step: Transform) -> str:
    if step.kind == "sql":
        return f"```sql\n{step.sql.strip()}\n```"
    made = {
        "jar": step.jar, "class": step.class_name, "function": step.function,
        "functions": ", ".join(f"{n} = {c}" for n, c in step.functions.items()),
        "sha256": step.sha256,
    }  # fmt: skip
    return "\n".join(f"- {name}: `{value}`" for name, value in made.items() if value)


def naming(tables: Iterable[str]) -> dict[str, str]:
    """The tag by which a list of runs shows whose they are."""
    names = sorted(tables)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return {TABLES_TAG: ", ".join(names[:_MOST_NAMED]) + more}

"""Owns every name the Dagster UI shows: keys, op names, groups, kinds, owners, tags, columns."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import dagster as dg

from assets.standing import steps
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.described import Line, described
from lake_platform.domain.layout import quarantine_prefix, raw_prefix, table_prefix
from lake_platform.domain.mapping import Mapped, share_text, shown
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.schema import Struct, columns

Layer = Literal["raw", "lake", "quarantine", "catalog"]
LAYERS: tuple[Layer, ...] = ("raw", "lake", "quarantine", "catalog")
_MOST_PENDING = 100
GROUP_TABLES = 50  # a group's page loads in about a second up to here

_PLAIN = re.compile(r"(?!x__)[A-Za-z0-9_]+\Z")
_ESCAPES = {"_": "__", "-": "_m", ".": "_d"}
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}\Z")
_TEAM = re.compile(r"(?:team:)?([A-Za-z0-9_.-]+)\Z")
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}\Z")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}\Z")


def asset_key(layer: Layer, table: str) -> dg.AssetKey:
    return dg.AssetKey([layer, table])


def table_of(key: dg.AssetKey, layer: Layer) -> str | None:
    """The table whose `layer` asset `key` is; None when it is none."""
    return key.path[1] if len(key.path) == 2 and key.path[0] == layer else None


def identifier(name: str) -> str:
    """`name` as a Dagster identifier, different for different names.

    Plain names stay as they are. All others begin with `x__`, which no plain one does, and are
    escaped one to one.
    """
    if _PLAIN.match(name):
        return name
    return "x__" + "".join(_ESCAPES.get(c, c) for c in name)


def op_name(layer: Layer, table: str) -> str:
    return f"{layer}__{identifier(table)}"


def groups(records: Iterable[DatasetRecord]) -> dict[str, str]:
    """Table -> group: its domain, split every 50 tables in the order of registration, so that a
    new table moves none of the others."""
    by_domain: defaultdict[str, list[DatasetRecord]] = defaultdict(list)
    for record in records:
        by_domain[record.dataset.domain].append(record)
    chosen = {}
    for domain, held in by_domain.items():
        held.sort(key=lambda r: (r.registered_at, r.dataset.table))
        for position, record in enumerate(held):
            part = position // GROUP_TABLES
            name = identifier(domain)
            chosen[record.dataset.table] = name if part == 0 else f"{name}/{part + 1}"
    return chosen


def owners(dataset: Dataset) -> list[str]:
    """What Dagster takes as an owner; anything else would break the whole code location."""
    owner = dataset.owner.strip()
    if _EMAIL.match(owner):
        return [owner]
    team = _TEAM.match(owner)
    return [f"team:{team.group(1)}"] if team else []


def tags(dataset: Dataset) -> dict[str, str]:
    """The dataset's own tags as far as Dagster takes them, and ours."""
    own = {
        k: v
        for k, v in dataset.tags.items()
        if _TAG_KEY.match(k) and _TAG_VALUE.match(v) and not k.startswith("dagster")
    }
    return own | {"lake/mode": dataset.mode}


def kinds(dataset: Dataset, layer: Layer) -> set[str]:
    """The layer is one: Dagster's graph names a node by the table alone."""
    what = {"raw": {"kafka"}, "lake": {"spark", dataset.format}, "catalog": {"glue"}}
    return {layer, *what.get(layer, {"json"})}


def table_schema(
    struct: Struct, primary_key: Iterable[str] = (), lines: Iterable[Line] = ()
) -> dg.TableSchema:
    """`lines`: how the records come to these columns; none where steps make them."""
    keys, told = set(primary_key), _by_column(struct, lines)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=path,
                type=str(kind),
                constraints=dg.TableColumnConstraints(nullable=False) if path in keys else None,
                description=_origin(path, path in keys, told.get(path, ())) or None,
                tags=_rule_and_share(told.get(path, ())),
            )
            for path, kind in columns(struct)
        ]
    )


def pending_paths(lines: Iterable[Line]) -> str:
    """Paths of the records that have no column yet; a null array is one, whatever it would hold."""
    found = [shown(m.path) for _, m in lines if "pending" in m.rules and m.path[-1] is not None]
    more = f" and {len(found) - _MOST_PENDING} more" if len(found) > _MOST_PENDING else ""
    return ", ".join(found[:_MOST_PENDING]) + more


def _by_column(struct: Struct, lines: Iterable[Line]) -> dict[str, list[Mapped]]:
    """What is said of each column, its own path before other spellings."""
    held = list(lines)
    found: dict[str, list[Mapped]] = {}
    for _, mapped in described(struct, held) if held else ():
        found.setdefault(mapped.column, []).append(mapped)
    return found


def _origin(column: str, is_key: bool, told: Sequence[Mapped]) -> str:
    """Where the column comes from and why, as far as it is not plain."""
    parts = ["primary key"] if is_key else []
    for mapped in told[:1]:
        if mapped.doc:
            parts.insert(0, mapped.doc)
        source = shown(mapped.path)
        if source != column.replace("{}", "[]"):
            parts.append(f"from `{source}`")
        if len(told) > 1:
            parts.append("also " + ", ".join(f"`{shown(m.path)}`" for m in told[1:]))
        if mapped.rules:
            why = f" ({mapped.reason})" if mapped.reason else ""
            parts.append(f"{', '.join(mapped.rules)}{why}")
        if mapped.share is not None and (parts or mapped.share < 1):
            parts.append(f"in {share_text(mapped.share)} of records")
    return "; ".join(parts).encode("utf-8", "backslashreplace").decode()


def _rule_and_share(told: Sequence[Mapped]) -> dict[str, str]:
    if not told:
        return {}
    share = told[0].share
    rules = ",".join(told[0].rules)
    return ({"lake/rule": rules} if rules else {}) | (
        {"lake/share": f"{share:.4f}"} if share is not None else {}
    )


@dataclass(frozen=True, slots=True)
class Translator:
    """Asset specs of one dataset; `storage_root` is shown as the URI of what lies there."""

    storage_root: str
    groups: Mapping[str, str] = field(default_factory=dict)

    def spec(
        self,
        dataset: Dataset,
        layer: Layer,
        schema: SchemaVersion | None,
        partitions_def: dg.PartitionsDefinition[str] | None,
        lines: Sequence[Line] = (),
    ) -> dg.AssetSpec:
        upstream = [] if layer == "raw" else [asset_key("raw", dataset.raw_table)]
        if layer == "catalog":
            upstream = [asset_key("lake", dataset.table)]
        return dg.AssetSpec(
            asset_key(layer, dataset.table),
            deps=upstream,
            description=self._description(dataset, layer),
            group_name=self.groups.get(dataset.table, identifier(dataset.domain)),
            kinds=kinds(dataset, layer),
            owners=owners(dataset),
            tags=tags(dataset),
            metadata=self._metadata(dataset, layer, schema, lines),
            partitions_def=partitions_def,
            # Only the windows a run yields are marked, not all of its range.
            skippable=layer in ("raw", "lake"),
        )

    def _description(self, dataset: Dataset, layer: Layer) -> str:
        topic, table = dataset.topic, dataset.table
        if layer == "raw":
            return (
                f"Every record of topic `{topic}`, byte for byte, filed by the hour of its own "
                f"timestamp. Materialising any window dumps what is new now."
            )
        if layer == "quarantine":
            return f"Records of `{topic}` that could not go into `{table}`, with their reason."
        if layer == "catalog":
            return (
                f"`{table}` in AWS Glue: columns, partitions, and how its files are read. "
                f"Materialising brings Glue to what the table has now; nothing of the table is "
                f"written, so it may be repeated at any time."
            )
        lines = [dataset.description] if dataset.description else []
        how = (
            f"upserted by {', '.join(f'`{k}`' for k in dataset.primary_key)}"
            if dataset.mode == "upsert"
            else "appended"
        )
        lines.append(f"{dataset.format.capitalize()} table of topic `{topic}`, {how}.")
        lines.append(
            f"Materialising a window loads what is pending and verifies the window; with the run "
            f"config `ops: {{{op_name('lake', dataset.table)}: {{config: {{replay: true}}}}}}` the "
            f"window is applied again. `replay: true` belongs there, not at the root."
        )
        return "\n\n".join(lines)

    def _metadata(
        self, dataset: Dataset, layer: Layer, schema: SchemaVersion | None, lines: Sequence[Line]
    ) -> dict[str, dg.MetadataValue]:
        prefix = {
            "raw": raw_prefix(dataset.topic),
            "lake": table_prefix(dataset.table),
            "quarantine": quarantine_prefix(dataset.table),
            "catalog": table_prefix(dataset.table),
        }[layer]
        found: dict[str, dg.MetadataValue] = {
            "dagster/uri": dg.MetadataValue.text(f"{self.storage_root.rstrip('/')}/{prefix}"),
            "topic": dg.MetadataValue.text(dataset.topic),
        }
        if layer == "raw":
            found["schedule (UTC)"] = dg.MetadataValue.text(dataset.schedule)
        if layer == "lake":
            found["max_lag_seconds"] = dg.MetadataValue.int(dataset.max_lag_seconds)
            found["partition_by"] = dg.MetadataValue.text(", ".join(dataset.partition_by) or "-")
            found |= steps(dataset)
        if layer in ("raw", "lake") and schema is not None:
            struct = schema.source if layer == "raw" else schema.table or schema.source
            key = dataset.primary_key if layer == "lake" else ()
            from_records = layer == "raw" or not dataset.transformed
            found["dagster/column_schema"] = dg.MetadataValue.table_schema(
                table_schema(struct, key, lines if from_records else ())
            )
            found["schema_version"] = dg.MetadataValue.int(schema.version)
            if waiting := pending_paths(described(schema.source, lines)):
                found["pending (no value so far)"] = dg.MetadataValue.text(waiting)
        return found

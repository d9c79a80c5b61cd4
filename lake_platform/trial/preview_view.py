"""What a preview found, as JSON: the same in API and shell (its form: docs/schema.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lake_platform.domain.schema import columns
from lake_platform.trial.loaded import Example, Side
from lake_platform.trial.preview import Previewed
from lake_platform.trial.side_by_side import Pair


def preview_view(found: Previewed) -> dict[str, Any]:
    rows, raw = found.rows, found.chosen
    return {
        "table": found.table,
        "windows": list(raw.windows),
        "raw": {"commits": len(raw.commits), "records": raw.records, "bytes": raw.raw_bytes},
        "definition": {name: {"before": b, "after": a} for name, (b, a) in found.changes.items()},
        "columns": [asdict(c) for c in found.columns],
        "before": side_view(found.before),
        "after": side_view(found.after),
        "rows": {
            "matched_by": list(rows.by),
            "before": rows.before,
            "after": rows.after,
            "inserted": rows.counts.get("inserted", 0),
            "updated": rows.counts.get("updated", 0),
            "deleted": rows.counts.get("deleted", 0),
            "same": rows.counts.get("same", 0),
            "shown": [_pair(pair) for pair in rows.shown],
        },
        "command": found.command,
        "warnings": list(found.warnings),
    }


def side_view(side: Side) -> dict[str, Any]:
    return {
        "columns": {name: str(kind) for name, kind in columns(side.columns)},
        "schema_changes": side.changes,
        **asdict(side.balance),
        "quarantined_by_reason": _examples(side.quarantined),
        "rescued_by_path": _examples(side.rescued),
        "rules": [broken.to_dict() for broken in side.rules.values()],
        "files": side.files,
        "bytes": side.bytes,
        "stops": side.stops,
    }


def _examples(found: Mapping[str, Example]) -> dict[str, Any]:
    return {name: asdict(example) for name, example in found.items()}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "kind": pair.kind, "at": pair.at, "differing": pair.differing,
        "before": pair.before, "after": pair.after,
    }  # fmt: skip

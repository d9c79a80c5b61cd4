"""What the check of a sample found, as JSON: the same in API and shell (its form: docs/json.md)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lake_platform.metastore.views import mapped_view
from lake_platform.trial.check import Checked, Shown
from lake_platform.trial.steps import error_view


def checked_view(found: Checked) -> dict[str, Any]:
    return {
        "table": found.dataset.table,
        "verdict": found.verdict,
        "exit_code": found.exit_code,
        "records": found.records,
        "schema_version": found.before.version if found.before else None,
        "next_schema_version": found.after.version if found.after else None,
        "changes": [
            asdict(change) | {"text": str(change), "records": shown.count} | _first(shown)
            for change, shown in found.changes
        ],
        "rescued": [
            {"path": path, "values": shown.count, "line": shown.line, "value": shown.text}
            for path, shown in found.rescued
        ],
        "quarantined": [
            {"reason": reason, "records": shown.count} | _first(shown)
            for reason, shown in found.quarantined
        ],
        "rules": [b.to_dict() for b in found.broken.values()],
        "max_quarantine_ratio": found.dataset.max_quarantine_ratio,
        "mapping": [mapped_view(m) for m in found.mapped],
        "steps_not_looked_at": found.steps,
        # What blocks is told above; there is no incident that its error could send to.
        "error": error_view(found.error) if found.error and found.verdict == "stops" else None,
    }


def _first(shown: Shown) -> dict[str, Any]:
    return {"line": shown.line, "record": shown.text}


def said(found: Checked) -> str:
    """The verdict in one sentence."""
    table, of = found.dataset.table, f"{found.bad} of {found.records} records"
    texts = {
        "fits": f"fits: a load of {table} takes it as it is",
        "changes": f"fits: a load of {table} makes these changes by itself",
        "blocked": f"does not fit: {table} would be BLOCKED until somebody resolves it",
        "rescue": f"does not fit: of some paths more than max_rescued_ratio="
        f"{found.dataset.max_rescued_ratio:g} goes to _rescued, and over 100 such values in a "
        f"batch would stop {table}",
        "quarantine": f"does not fit: {of} go to quarantine, more than max_quarantine_ratio="
        f"{found.dataset.max_quarantine_ratio:g}, and over 10 such in a batch would stop {table}",
        "stops": f"does not fit: {table} would stop: {found.error}",
    }
    text = texts[found.verdict]
    if found.verdict in ("fits", "changes") and found.bad:
        text += f"; {of} go to quarantine"
    return text

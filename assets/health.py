"""Shows on one asset which definitions could not be built."""

from __future__ import annotations

import dagster as dg

from assets.factory import Built
from assets.metadata import rows_table

HEALTH = dg.AssetKey(["platform", "definitions"])
HEALTH_CHECK = dg.AssetCheckKey(HEALTH, "all_built")


def health(built: Built) -> tuple[dg.AssetSpec, dg.AssetChecksDefinition]:
    """A spec with what was skipped, and a check that fails while there is any."""
    spec = dg.AssetSpec(
        HEALTH,
        group_name="platform",
        description="The dataset definitions of this code location.",
        metadata={
            "datasets": len(built.tables), "skipped": len(built.skipped), "errors": _errors(built),
        },
    )  # fmt: skip

    @dg.asset_check(
        asset=HEALTH, name=HEALTH_CHECK.name, description="Every definition has its assets."
    )
    def all_built() -> dg.AssetCheckResult:
        return judged(built)

    return spec, all_built


def judged(built: Built) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=HEALTH,
        check_name=HEALTH_CHECK.name,
        passed=not built.skipped,
        metadata={"datasets": len(built.tables), "errors": _errors(built)},
        description="; ".join(f"{t}: {e}" for t, e in built.skipped.items())[:1000]
        or "every definition has its assets",
    )


def _errors(built: Built) -> dg.MetadataValue:
    return rows_table({"dataset": t, "error": e[:500]} for t, e in built.skipped.items())

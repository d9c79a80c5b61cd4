"""Shows on one asset which definitions could not be built."""

from __future__ import annotations

import dagster as dg

from assets.factory import Built
from assets.metadata import rows_table

HEALTH = dg.AssetKey(["platform", "definitions"])


def health(built: Built) -> tuple[dg.AssetSpec, dg.AssetChecksDefinition]:
    """A spec with what was skipped, and a check that fails while there is any."""
    skipped = rows_table({"dataset": t, "error": e[:500]} for t, e in built.skipped.items())
    spec = dg.AssetSpec(
        HEALTH,
        group_name="platform",
        description="The dataset definitions of this code location.",
        metadata={
            "datasets": len(built.tables), "skipped": len(built.skipped), "errors": skipped,
        },
    )  # fmt: skip

    @dg.asset_check(asset=HEALTH, name="all_built", description="Every definition has its assets.")
    def all_built() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=not built.skipped,
            metadata={"datasets": len(built.tables), "skipped": skipped},
            description="; ".join(f"{t}: {e}" for t, e in built.skipped.items())[:1000] or "all",
        )

    return spec, all_built

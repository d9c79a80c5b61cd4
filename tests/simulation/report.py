"""What a run of schedules reached, so that one sees it is not vacuous."""

from __future__ import annotations

from collections import Counter

from tests.simulation.world import Hits


def table(hits: Hits) -> str:
    steps = {name: n for (kind, name), n in hits.items() if kind == "step"}
    errors = {name: n for (kind, name), n in hits.items() if kind == "error"}
    faults = Counter({k: n for k, n in hits.items() if k[0] not in {"step", "error"}})
    lines = ["steps", *_columns(steps), "errors that writers ended with", *_columns(errors)]
    lines.append("faults by port call")
    calls = sorted({call for _, call in faults})
    kinds = sorted({kind for kind, _ in faults if kind})
    lines.append("  " + " " * 30 + "".join(f"{k:>11}" for k in kinds))
    for call in calls:
        lines.append(f"  {call:<30}" + "".join(f"{faults[k, call]:>11}" for k in kinds))
    return "\n".join(lines)


def _columns(counts: dict[str, int]) -> list[str]:
    return [f"  {name:<30}{n:>11}" for name, n in sorted(counts.items())]

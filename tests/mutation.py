"""Mutation tests (`make mutation`): the commit log, planning and recovery are broken in thousands
of small ways, one at a time, and the tests have to notice.

What is broken and which tests look is in pyproject.toml, `[tool.mutmut]`. `--write` puts the table
into docs/reliability-mutation.md; `--results` runs nothing, it shows the last run. A mutant that
survived is shown by `mutmut show NAME`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.pages import markdown, put_between

_REPO = Path(__file__).parents[1]
_MUTMUT = str(Path(sys.executable).parent / "mutmut")
_WANTED = 0.9
# A mutant that never ends is noticed too. Without any test it is not.
_NOTICED = frozenset(["killed", "timeout", "segfault", "suspicious"])
_NOT_RUN = "not checked"
Counts = Mapping[str, Counter[str]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--results", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    if not given.results:
        _run(given.processes)
    verdicts = _verdicts()
    counts = by_module(verdicts)
    survived = [n for n, verdict in verdicts.items() if verdict not in {*_NOTICED, _NOT_RUN}]
    print(*survived, table(counts), sep="\n")
    if given.write:
        put_between(_REPO / "docs" / "reliability-mutation.md", "mutants", table(counts))
    return 0 if verdicts and share(sum(counts.values(), Counter())) >= _WANTED else 1


def _run(processes: int) -> None:
    shutil.rmtree(_REPO / "mutants", ignore_errors=True)  # tests may have changed, not only code
    subprocess.run([_MUTMUT, "run", "--max-children", str(processes)], cwd=_REPO, check=True)


def _verdicts() -> dict[str, str]:
    """Mutant -> what became of it."""
    out = subprocess.run(
        [_MUTMUT, "results", "--all", "true"], cwd=_REPO, check=True, capture_output=True, text=True
    )
    return dict(line.strip().split(": ") for line in out.stdout.splitlines() if ": " in line)


def by_module(verdicts: Mapping[str, str]) -> Counts:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, verdict in verdicts.items():
        counts[name.rsplit(".", 1)[0]][verdict] += 1
    return counts


def share(counts: Counter[str]) -> float:
    """Of those that were run."""
    return sum(counts[v] for v in _NOTICED) / max(1, counts.total() - counts[_NOT_RUN])


def table(counts: Counts) -> str:
    rows = [
        _cells(f"`{module.removeprefix('lake_platform.')}`", found)
        for module, found in sorted(counts.items())
    ]
    total = _cells("all", sum(counts.values(), Counter()))
    return markdown([["module", "mutants", "run", "noticed", "share"], *rows, total])


def _cells(name: str, counts: Counter[str]) -> list[str]:
    noticed = sum(counts[v] for v in _NOTICED)
    run = counts.total() - counts[_NOT_RUN]
    return [name, str(counts.total()), str(run), str(noticed), f"{share(counts):.1%}"]


if __name__ == "__main__":
    sys.exit(main())

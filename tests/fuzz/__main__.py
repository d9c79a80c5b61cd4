"""`python -m tests.fuzz --records 1000000`: prints what became of them, fails at the first broken
promise."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.corpus import read_corpus
from tests.fuzz.run import FuzzError, Report, run, run_batch


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--batch", type=int, help="run this batch alone, as an error names it")
    asked = parser.parse_args()
    try:
        if asked.batch is not None:
            tally, _ = run_batch(read_corpus(), asked.seed, asked.batch)
            return _show(f"{tally}")
        report = run(asked.records, asked.seed, asked.seconds)
    except FuzzError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return _show(*summary(asked.seed, report))


def _show(*lines: str) -> int:
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def summary(seed: int, report: Report) -> list[str]:
    tally = report.tally
    reasons = [f"  {count:>9,} {reason}" for reason, count in tally.reasons.most_common()]
    return [
        f"seed {seed}: {tally.records:,} records in {report.batches:,} batches",
        f"  kept verbatim {tally.accepted:,}, as bytes {tally.rejected:,}, "
        f"tombstones {tally.tombstones:,}",
        f"  after the scan: rows {tally.rows:,}, quarantined {tally.quarantined:,}",
        f"  through dump and load into a table: {report.through_tables:,}",
        *reasons,
    ]


if __name__ == "__main__":
    sys.exit(main())

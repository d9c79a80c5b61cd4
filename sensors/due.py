"""Which datasets want which phase now. Pure: the clock and all state come as arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from croniter import croniter

from lake_platform.domain.dataset import Status
from lake_platform.domain.progress import DatasetRecord, Progress

_FIRST_PAUSE_MS = 10_000
_LONGEST_PAUSE_MS = 600_000
_SUSPECT_TRIES = 3
_MOST_ALONE = 3  # runs a tick: when everything fails, the datasets are not what is wrong
_log = structlog.get_logger(__name__)


def dump_due(record: DatasetRecord, progress: Progress, now_ms: int) -> bool:
    """At once while phase 1 has not caught up, then by the dataset's schedule. A BLOCKED table
    still dumps: raw is kept whatever happens to the table. One that reads the raw of another
    dataset has no dump."""
    if record.status in {Status.PAUSED, Status.RETIRED} or record.dataset.raw_from:
        return False
    if not progress.complete_as_of or progress.backlog:
        return True
    dumped = max(progress.dumped_at, progress.complete_as_of) / 1000
    following: float = croniter(record.dataset.schedule, dumped, ret_type=float).get_next()
    return following * 1000 <= now_ms


def load_due(record: DatasetRecord, progress: Progress) -> bool:
    """Level, not edge: as long as raw commits wait, whoever failed to load them before."""
    runnable = record.status not in {Status.PAUSED, Status.RETIRED, Status.BLOCKED}
    return runnable and progress.waiting > 0


@dataclass(slots=True)
class Try:
    """The last request for a dataset; `mark` is where it stood then."""

    mark: int
    count: int
    next_ms: int


@dataclass(slots=True)
class Memory:
    """A sensor's cursor. A dataset whose requests change nothing is asked for ever less often.

    `reported`: raw commits whose windows were handed to Dagster by the last tick; they go to the
    metastore with the next tick, when this cursor is known to be stored. `marked`: raw commits
    whose windows are known to be marked on the lake asset.
    """

    tries: dict[str, Try] = field(default_factory=dict)
    reported: dict[str, int] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str | None) -> Memory:
        """Empty for a cursor that cannot be read: all of it is found out again."""
        try:
            plain = json.loads(cursor) if cursor else {}
            return cls(
                {table: Try(*held) for table, held in plain.get("tries", {}).items()},
                dict(plain.get("reported", {})),
                dict(plain.get("marked", {})),
            )
        except (ValueError, TypeError, AttributeError) as error:
            _log.warning("cursor not readable, starting anew", error=str(error))
            return cls()

    def dump(self) -> str:
        tries = {table: [t.mark, t.count, t.next_ms] for table, t in self.tries.items()}
        plain = {"tries": tries, "reported": self.reported, "marked": self.marked}
        return json.dumps(plain, separators=(",", ":"))

    def may_try(self, table: str, mark: int, now_ms: int) -> bool:
        held = self.tries.get(table)
        return held is None or held.mark != mark or now_ms >= held.next_ms

    def tried(self, table: str, mark: int, now_ms: int) -> None:
        held = self.tries.get(table)
        count = held.count + 1 if held is not None and held.mark == mark else 1
        pause = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(count - 1, 10))
        self.tries[table] = Try(mark, count, now_ms + pause)

    def runs(self, due: Sequence[str]) -> list[list[str]]:
        """Whom to ask for in one run. A dataset whose requests changed nothing may be what kills
        the run before the others get their turn, so a few of these run alone."""
        alone = [t for t in due if self.tries[t].count >= _SUSPECT_TRIES][:_MOST_ALONE]
        together = [t for t in due if t not in alone]
        return [group for group in (together, *([t] for t in alone)) if group]

    def keep_only(self, marks: Mapping[str, int]) -> None:
        """Forgets datasets not in `marks`, and tries of those that moved on since: the cursor is
        stored with every tick."""
        kept = marks.keys()
        self.tries = {t: v for t, v in self.tries.items() if marks.get(t) == v.mark}
        self.reported = {t: v for t, v in self.reported.items() if t in kept}
        self.marked = {t: v for t, v in self.marked.items() if t in kept}

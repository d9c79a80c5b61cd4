"""One cell of the matrix: kill a writer at a point, once or again in the recovery, then account."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kills.points import BY_NAME, Point
from tests.kills.table import Site, TableUnderTest
from tests.kills.victim import Passed, Victim

_MOST_ROUNDS = 5
STOPPED = frozenset(["SchemaBlockedError", "NotRunnableError"])
RETRYABLE = frozenset(["ok", "EngineError", "EngineUnavailableError", "WorkerLostError"])


@dataclass(frozen=True)
class Cell:
    """`style`: "group" kills Python and its JVM, "jvm" the JVM alone; of a dump or a
    decoding by several processes "part" kills one of these alone, "parent" the one that commits."""

    point: Point
    kind: str
    style: str
    times: int

    def __str__(self) -> str:
        return f"{self.kind:9}{self.style:6}{self.times}x  {self.point.name}"


class Chain:
    """Cells one after the other on one table: the life that recovers from one kill goes on to the
    next point. A table that failed an account is left, so that a failure is that of one cell."""

    def __init__(self, kind: str, site: Site) -> None:
        self._kind, self._site = kind, site
        self._table: TableUnderTest | None = None
        self._victim: Victim | None = None
        self._often = False

    def run(self, cell: Cell) -> None:
        """Raises: AssertionError when the point was not reached, or the account does not close."""
        try:
            self._prepare(cell.point)
            if cell.point.first:
                self._kill_at(BY_NAME[cell.point.first], cell.style)
            for _ in range(cell.times):
                try:
                    self._kill_at(cell.point, cell.style)
                except Passed:
                    # What was there to recover from is recovered from.
                    if not cell.point.first:
                        raise
                    self._kill_at(BY_NAME[cell.point.first], cell.style)
                    self._kill_at(cell.point, cell.style)
            self._recover(cell.point)
        except BaseException:
            self.close()
            self._table = None
            raise

    def close(self) -> None:
        if self._victim is not None:
            self._victim.kill()
            self._victim = None

    @property
    def table(self) -> TableUnderTest:
        assert self._table is not None
        return self._table

    def _prepare(self, point: Point) -> None:
        if self._table is None or point.fresh:
            self.close()
            self._table = TableUnderTest(self._kind, self._site)
            if not (point.fresh or point.in_phase_1):
                self._ok("cycle")
        if self._often != point.often:
            self.close()
        self._often = point.often

    def _kill_at(self, point: Point, style: str) -> None:
        victim = self._life()
        if style == "jvm":
            self._ok("warm")
        for left in reversed(range(_MOST_ROUNDS)):
            self._send(point)
            try:
                victim.stand_at(point.armed, point.command)
                break
            except Passed:
                # Housekeeping comes when there is something to keep.
                if not left or not (point.often or point.command in {"clean", "rebuild"}):
                    raise
        self._kill(victim, style)
        if self._often:
            self.table.wait_for_heartbeats()

    def _send(self, point: Point) -> None:
        """What the command will work on."""
        if point.command == "redrive":
            self._ok("strict")
            self.table.send_large()
        self.table.send_round(point.new_column)
        if point.command == "release":
            self.table.send_break()
            self._ok("dump")
            stopped = self._life().do("load")
            assert stopped in STOPPED, f"load of what stops the table: {stopped}"
        if point.command in {"load", "crew"}:
            self._ok("dump")
        elif point.command == "compact":
            self._ok("dump")
            self._ok("load")
        elif point.command in {"clean", "replay", "rebuild", "redrive"}:
            self._ok("cycle")

    def _kill(self, victim: Victim, style: str) -> None:
        if style == "parent":
            victim.kill_parent()
        elif style == "part":
            victim.kill_part()
        elif style == "jvm" and victim.jvm() is not None:
            victim.kill_jvm()
        else:
            style = "group"
        if style in {"part", "jvm"}:
            victim.release()
            answer = victim.answer(victim.known)
            assert answer in RETRYABLE, f"its {style} was killed, and the writer said {answer}"
        self.close()

    def _recover(self, point: Point) -> None:
        """One clean run, and the account."""
        if point.command == "release":
            self._ok("release")
        self._ok("cycle" if not point.in_phase_1 else "dump")
        if point.command in {"clean", "replay", "rebuild", "redrive"}:
            self._ok(point.command)
            self._ok("cycle")
        if point.in_phase_1:
            self.table.account_raw()
        else:
            self.table.account()

    def finish(self) -> None:
        """What phase-1 cells put into raw arrives in the table too."""
        if self._table is not None:
            self._ok("cycle")
            self.table.account()
        self.close()

    def _ok(self, command: str) -> None:
        victim = self._life()
        answer = victim.do(command)
        assert answer == "ok", f"{command}: {answer}\n{victim.tail()}"

    def _life(self) -> Victim:
        if self._victim is None:
            self._victim = self.table.live()
            if self._often:
                self._ok("often")
        return self._victim

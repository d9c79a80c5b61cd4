"""Two writers of one table: one that was stopped and wakes too late, or both at once.

A zombie runs "elsewhere", so that only its lease tells whether it lives, and the lease of who takes
over is zero. It is stopped by SIGSTOP, Python and JVM, while it stands at a point of the matrix.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import fastavro

from tests.kills.points import ALL, BY_NAME, HUDI
from tests.kills.table import Site, TableUnderTest
from tests.kills.victim import DEADLINE_SECONDS, Passed, Victim, wait_for_end

_REPO = Path(__file__).parents[2]
BEATEN = frozenset(["BatchClaimedError", "CommitRaceError"])


@dataclass(frozen=True)
class Duel:
    """`run` says what was seen; it raises AssertionError when the account does not close."""

    name: str
    kinds: tuple[str, ...]
    run: Callable[[TableUnderTest], str]


class Lives(ExitStack):
    """Writers that are killed at the end, stopped ones too."""

    def __init__(self, table: TableUnderTest) -> None:
        super().__init__()
        self._table, self._number = table, 0

    def start(self, *flags: str) -> Victim:
        # Each writer talks to us through files of its own.
        self._number += 1
        victim = self._table.live(*flags, place=f"writer-{self._number}")
        self.callback(victim.kill)
        return victim


def zombie(point: str, answer: str, late: bool) -> Callable[[TableUnderTest], str]:
    """Stopped at `point`; another writer goes past it; then it wakes and answers. `late`: it
    commits all the same, and that has to be found and made good."""

    def run(table: TableUnderTest) -> str:
        with Lives(table) as lives:
            sleeper = _asleep_at(lives, table, point)
            rescuer = lives.start("impatient")
            _ok(rescuer, "cycle")
            _wake(sleeper)
            said = sleeper.answer(sleeper.known)
            assert said == answer, f"woken at {point!r}, it said {said}:\n{sleeper.tail()}"
            table.send_round()
            _ok(rescuer, "cycle")
            table.account()
            assert bool(made_good(table)) == late, f"late commits: {made_good(table)}"
        return f"{said}; it committed late, which was found and made good" if late else said

    return run


def late_past_a_delete(table: TableUnderTest) -> str:
    """The zombie holds its lock, so no fence; what it writes was deleted and compacted since."""
    with Lives(table) as lives:
        sleeper = _asleep_at(lives, table, "hudi: lock to start")
        rescuer = lives.start("impatient")
        _ok(rescuer, "often")
        _ok(rescuer, "cycle")
        table.delete_all()
        _ok(rescuer, "cycle")
        _wake(sleeper)
        said = sleeper.answer(sleeper.known)
        table.send_round()
        _ok(rescuer, "cycle")
        table.account()
        assert made_good(table), "no late commit was found"
    return f"{said}; it committed late, which was found and made good"


def asleep_in_a_compaction(table: TableUnderTest) -> str:
    """Another writer ends the same compaction; the zombie goes on writing base files of it."""
    point = BY_NAME["hudi: compaction file half written"]
    with Lives(table) as lives:
        sleeper = lives.start("elsewhere")
        _ok(sleeper, "often")
        _ok(sleeper, "cycle")
        _stop_at(sleeper, table, point.name)
        table.wait_for_heartbeats()
        rescuer = lives.start("impatient")
        _ok(rescuer, "often")
        for _ in range(2):
            table.send_round()
            _ok(rescuer, "cycle")
        _wake(sleeper)
        said = sleeper.answer(sleeper.known)
        table.account()
        table.send_round()
        _ok(rescuer, "cycle")
        table.account()
    return said


def orphaned_jvm(table: TableUnderTest) -> str:
    """Python alone is killed; its JVM, stopped with the lock of the commit in hand, wakes later."""
    with Lives(table) as lives:
        sleeper = lives.start()
        _ok(sleeper, "cycle")
        table.send_round()
        _ok(sleeper, "dump")
        sleeper.stand_at(BY_NAME["hudi: lock to commit"].armed, "load")
        jvm = sleeper.jvm()
        assert jvm is not None
        jvm.suspend()
        sleeper.kill_python()
        rescuer = lives.start()
        _ok(rescuer, "cycle")
        sleeper.release()
        jvm.resume()
        wait_for_end(jvm)
        table.send_round()
        _ok(rescuer, "cycle")
        table.account()
    late = "committed late, which was made good" if made_good(table) else "did not commit"
    return f"the JVM {late}, and ended by itself"


def at_once(first: str, second: str) -> Callable[[TableUnderTest], str]:
    """Two warm writers on one host are told at the same time, three times."""

    def run(table: TableUnderTest) -> str:
        said: Counter[str] = Counter()
        with Lives(table) as lives:
            writers = [lives.start(), lives.start()]
            _ok(writers[0], "cycle")
            for writer in writers:
                _ok(writer, "warm")
            for _ in range(3):
                table.send_round()
                known = [w.answers() for w in writers]
                for writer, command in zip(writers, (first, second), strict=True):
                    writer.say(command)
                answers = [w.answer(k) for w, k in zip(writers, known, strict=True)]
                assert set(answers) <= {"ok", *BEATEN}, f"{answers}\n{writers[1].tail()}"
                said.update(answers)
            _ok(writers[0], "cycle")
            table.account()
        return ", ".join(f"{n} {word}" for word, n in sorted(said.items()))

    return run


def dagster_runs_at_once(table: TableUnderTest) -> str:
    """The dump and load runs of one window in two processes with one Dagster instance."""
    home = table.home / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    site = table.site
    environ = {**os.environ, "DAGSTER_HOME": str(home), "JAVA_HOME": str(site.java)}
    arguments = [str(table.home), site.bootstrap, str(site.jars), table.table]
    # Dagster's own tables: two processes that make them at once fail, which is no matter of ours.
    made = "import dagster; dagster.DagsterInstance.get().dispose()"
    subprocess.run([sys.executable, "-c", made], env=environ, check=True)
    errors = home / "stderr"
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.kills.dagster_child", *arguments], cwd=_REPO,
            env=environ, stdout=subprocess.PIPE, stderr=errors.open("a"), text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said: Counter[str] = Counter()
    try:
        for run in runs:
            said.update(run.communicate(timeout=DEADLINE_SECONDS)[0].splitlines())
            said_last = errors.read_text()[-2000:]
            assert run.returncode == 0, f"run ended with {run.returncode}: {said_last}"
    finally:
        for run in runs:
            run.kill()
    assert said["dump_job succeeded"] and said["load_job succeeded"], said
    with Lives(table) as lives:
        _ok(lives.start(), "cycle")
        table.account()
    return ", ".join(f"{n} {word}" for word, n in sorted(said.items()))


def without_fence(table: TableUnderTest) -> str:
    """What the fence is for: with one lock path for all epochs the zombie's commit gets through.

    It doubles the batch; that is found and undone, by the zombie itself when it looks again.
    """
    with Lives(table) as lives:
        sleeper = lives.start("elsewhere", "unfenced")
        _ok(sleeper, "cycle")
        _stop_at(sleeper, table, "hudi: data written, before the lock")
        rescuer = lives.start("impatient", "unfenced")
        _ok(rescuer, "cycle")
        _wake(sleeper)
        said = sleeper.answer(sleeper.known)
        table.send_round()
        _ok(rescuer, "cycle")
        table.account()
        assert said == "ok" and made_good(table), f"the zombie said {said}, and did not commit"
    return f"{said}; it doubled its batch, which was found and undone"


def _asleep_at(lives: Lives, table: TableUnderTest, point: str) -> Victim:
    sleeper = lives.start("elsewhere")
    _ok(sleeper, "cycle")
    _stop_at(sleeper, table, point)
    return sleeper


def _stop_at(sleeper: Victim, table: TableUnderTest, point: str) -> None:
    for left in reversed(range(3)):
        table.send_round()
        if BY_NAME[point].command == "load":
            _ok(sleeper, "dump")
        try:
            sleeper.stand_at(BY_NAME[point].armed, BY_NAME[point].command)
            break
        except Passed:  # housekeeping comes when there is something to keep
            if not (left and BY_NAME[point].often):
                raise
    sleeper.send_signal(signal.SIGSTOP)


def _wake(sleeper: Victim) -> None:
    sleeper.release()
    sleeper.send_signal(signal.SIGCONT)


def made_good(table: TableUnderTest) -> list[str]:
    """Late commits that a later commit of the Hudi timeline says it took back."""
    found: list[str] = []
    for path in (table.storage / "lake" / table.table / ".hoodie" / "timeline").glob("*commit"):
        with path.open("rb") as content:
            extra = cast("dict[str, Any]", next(iter(fastavro.reader(content))))["extraMetadata"]
        found += json.loads(extra.get("lake.undone", "[]"))
    return found


def _ok(victim: Victim, command: str) -> None:
    answer = victim.do(command)
    assert answer == "ok", f"{command}: {answer}\n{victim.tail()}"


_RACE, _LATE = "CommitRaceError", ", late"
_ZOMBIES: list[tuple[str, tuple[str, ...], str]] = [
    ("uploaded, before the raw commit", ("append",), _RACE),
    ("raw commit, before the metastore", ("append",), "ok"),
    ("claimed", ALL, "BatchClaimedError"),
    ("in the scan", ALL, _RACE),
    ("quarantined, before the write", ALL, _RACE),
    ("parquet: between two staged files", ("parquet",), _RACE),
    ("parquet: staged, before the record", ("parquet",), _RACE),
    ("parquet: recorded, before moving", ("parquet",), "ok"),
    ("parquet: between two moves", ("parquet",), "ok"),
    ("hudi: lock to start", HUDI, "ok" + _LATE),
    ("hudi: inflight", HUDI, _RACE),
    ("hudi: data file half written", HUDI, _RACE),
    ("hudi: data written, before the lock", HUDI, _RACE),
    ("hudi: lock to commit", ("append",), "ok" + _LATE),
    # Hudi's own check sees that both wrote the same file groups.
    ("hudi: lock to commit", ("upsert",), "EngineUnavailableError"),
    ("hudi: commit file there, lock held", HUDI, "ok"),
    ("written, before statistics", ALL, "ok"),
]
DUELS: tuple[Duel, ...] = (
    *(
        Duel(f"zombie: {p}", kinds, zombie(p, answer.removesuffix(_LATE), answer.endswith(_LATE)))
        for p, kinds, answer in _ZOMBIES
    ),
    Duel("zombie: its commit comes after a delete was compacted", ("upsert",), late_past_a_delete),
    Duel("zombie: in a compaction", ("upsert",), asleep_in_a_compaction),
    Duel("zombie: a JVM whose Python was killed", HUDI, orphaned_jvm),
    Duel("the same job twice at once", ALL, at_once("cycle", "cycle")),
    Duel("a replay beside a load", ALL, at_once("replay", "cycle")),
    Duel("two Dagster runs of the same windows", ("append", "parquet"), dagster_runs_at_once),
    Duel("without the fence (one lock for all epochs)", ("append",), without_fence),
)


def fight(duel: Duel, kind: str, site: Site) -> str:
    return duel.run(TableUnderTest(kind, site))

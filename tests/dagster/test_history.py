"""Old runs go, and what Dagster shows of windows and checks stays."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.history import prune_runs
from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.windows import when
from lake_platform.compose import clock
from tests.dagster.fakes import HOUR_MS, START_MS, World
from tests.dagster.test_phases import marked, run, settled

LATER = timedelta(days=1)


@pytest.fixture
def stored(tmp_path: Path) -> dg.DagsterInstance:
    (tmp_path / "dagster").mkdir()
    return dg.DagsterInstance.local_temp(str(tmp_path / "dagster"))


def test_only_runs_that_no_window_and_no_check_needs_go(
    world: World, stored: dg.DagsterInstance, tmp_path: Path
) -> None:
    world.register("orders")
    runs = []
    for minute in (0, 5, 60):
        world.now_ms = START_MS + minute * 60_000
        world.produce("orders", {"id": minute})
        runs.append(run(world, stored, DUMP_JOB, "orders").run_id)
        runs.append(run(world, stored, LOAD_JOB, "orders").run_id)
    runs.append(run(world, stored, DUMP_JOB, "orders").run_id)  # found nothing
    windows, verdicts = marked(stored, "lake", "orders"), settled(stored, "orders")
    assert len(windows) == 2

    assert prune_runs(stored, when(clock() - HOUR_MS)) == 0
    assert prune_runs(stored, when(clock()) + LATER) == 3
    kept = {r.run_id for r in stored.get_runs()}
    assert kept == set(runs[2:6])
    assert marked(stored, "lake", "orders") == windows
    assert marked(stored, "raw", "orders") == windows
    assert settled(stored, "orders") == verdicts
    files = {p.stem for p in (tmp_path / "dagster").rglob("*.db")}
    assert files.intersection(runs) == kept


def test_runs_of_others_and_runs_at_work_stay(world: World, stored: dg.DagsterInstance) -> None:
    @dg.job
    def elsewhere() -> None:
        pass

    elsewhere.execute_in_process(instance=stored)
    world.register("orders")
    run(world, stored, DUMP_JOB, "orders")
    (ours,) = [r for r in stored.get_runs() if r.job_name == DUMP_JOB]
    stored.add_run(ours._replace(run_id="at-work", status=dg.DagsterRunStatus.STARTED))
    assert prune_runs(stored, when(clock()) + LATER) == 1
    assert {r.job_name for r in stored.get_runs()} == {"elsewhere", DUMP_JOB}

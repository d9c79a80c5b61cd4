"""What a Hudi timeline says of its table, read without Spark from commits as Hudi writes them."""

from __future__ import annotations

from typing import Any

import pytest
from py4j.protocol import Py4JError
from structlog.testing import capture_logs

from lake_platform.adapters.hudi.engine import HudiEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.batches import AppliedBatch, BatchRange, Claim, Worker
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import seq_name
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import EngineError
from tests.hudi_commits import commit, time


def no_session() -> None:
    raise AssertionError("a state needs no Spark")


def test_the_last_commit_is_that_of_the_highest_claim() -> None:
    """Else a zombie's late commit would make the claim of who took over look unfinished."""
    store = open_store("memory:///")
    takeover = AppliedBatch(BatchRange(1, 1), 1, 2, "", 1)
    zombie = AppliedBatch(BatchRange(1, 1), 1, 1, "", 1)
    commit(store, 1, takeover)
    commit(store, 2, zombie)
    state = HudiEngine(no_session, store).state(Dataset(topic="t", table="t"))  # type: ignore[arg-type]
    assert state.last is not None
    assert (state.last.epoch, state.applied) == (2, 1)
    assert [b.epoch for b in state.doubled] == [1]


def test_a_late_commit_is_found_however_many_came_in_between() -> None:
    """Only the newest dozen commits are read, and its batch is not among them a second time."""
    store = open_store("memory:///")
    for number in range(1, 31):
        commit(store, number, AppliedBatch(BatchRange(number, number), number, number, "", 1))
    commit(store, 31, AppliedBatch(BatchRange(3, 3), 3, 3, "", 1))
    commit(store, 32, AppliedBatch(BatchRange(31, 31), 31, 31, "", 1))
    state = HudiEngine(no_session, store).state(Dataset(topic="t", table="t"))  # type: ignore[arg-type]
    assert [b.batch for b in state.doubled] == [BatchRange(3, 3)]
    assert state.applied == 31


class Calls:
    """A session that says what Hudi says."""

    def __init__(self, said: str) -> None:
        self._said = said
        self.statements: list[str] = []

    def sql(self, statement: str) -> Calls:
        self.statements.append(statement)
        return self

    def collect(self) -> None:
        if self._said:
            raise Py4JError(self._said)


def compact(
    said: str, store: ObjectStore | None = None, named: str = "x"
) -> tuple[Calls, list[Any], bool]:
    """A compaction after twenty commits since the last one, which named the base file `named`."""
    store = store or open_store("memory:///")
    commit(store, 1, None, {"": [{"path": named}]})
    for number in range(2, 22):
        commit(store, number, None, action="deltacommit")
    dataset = Dataset(topic="t", table="t", mode="upsert", primary_key=("id",))
    claim = Claim(7, "n", BatchRange(1, 1), Worker("here", 1, 0.0), 0)
    session: Any = Calls(said)
    engine = HudiEngine(lambda: session, store)
    assert engine.uncompacted(dataset) == 20
    with capture_logs() as logs:
        done = engine.compact(dataset, claim)
    return session, [(e["log_level"], e["dataset"]) for e in logs], done


def test_a_compaction_runs_under_the_lock_of_the_claim() -> None:
    session, logs, done = compact("")
    (statement,) = session.statements
    assert f"/locks/{seq_name(7)}," in statement
    assert "path => 'memory:/lake/t/'" in statement
    assert "hoodie.parquet.compression.codec=zstd" in statement
    assert (logs, done) == ([], True)


@pytest.mark.parametrize("values", [{"mode": "append"}, {"table_type": "cow"}])
def test_what_has_no_log_files_has_nothing_to_compact(values: dict[str, Any]) -> None:
    store = open_store("memory:///")
    commit(store, 1, None, action="deltacommit")
    upsert = {"mode": "upsert", "primary_key": ("id",)}
    dataset = Dataset(**{"topic": "t", "table": "t", **upsert, **values})
    assert HudiEngine(no_session, store).uncompacted(dataset) == 0  # type: ignore[arg-type]


def test_a_compaction_in_which_somebody_died_just_now_is_put_off() -> None:
    """All that was loaded is in the table: no reason to alarm anybody."""
    said = "HoodieLockException: Cannot execute instant 1 due to heartbeat by ..."
    session, logs, done = compact(said)
    assert len(session.statements) == 1
    assert (logs, done) == ([("warning", "t")], False)


def test_files_of_a_compaction_that_another_ended_are_removed() -> None:
    """We were taken for dead in it, and woke: our lock is refused, our files are there."""
    store = open_store("memory:///")
    stray, named = f"g-0_9-9-9_{time(1)}.parquet", f"g-0_1-2-3_{time(1)}.parquet"
    for name in (stray, named):
        store.put(f"lake/t/{name}", b"PAR1")
    with pytest.raises(EngineError, match="HoodieLockException"):
        compact("HoodieLockException: no lock", store=store, named=named)
    assert [i.key for i in store.list("lake/t/") if i.key.endswith(".parquet")] == [
        f"lake/t/{named}"
    ]


def test_a_compaction_that_fails_is_told() -> None:
    told = "^Spark failed on the compaction of 't': disk is full; all that was loaded is in"
    with pytest.raises(EngineError, match=told):
        compact("An error occurred while calling o1.sql.\n: disk is full\n\tat x")

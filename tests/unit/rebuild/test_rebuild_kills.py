"""Killed before and after everything that changes something, a rebuild has changed nothing for the
live table, or is ended by the next load; called again it comes to its one end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import Slice
from lake_platform.errors import LakeError, SchemaBlockedError, StorageUnavailableError
from lake_platform.metastore.repository import Repository
from lake_platform.rebuild.rebuild import Rebuilder
from tests.audit_support import no_session
from tests.support import CHANGES, STORE_CALLS, Fault, Faulty, Lab, Trap, faulty_ports

ASKED: dict[str, dict[str, Any]] = {
    "upsert": {"columns.amount": {"type": "string"}, "primary_key": ["day"]},
    "parquet": {"columns.amount": {"type": "string"}, "partition_by": []},
}
SHADOW = frozenset(["begin_rebuild", "drop_rebuild", "swap_in", "clear", "move_in"])
MakeLab = Callable[[], Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[MakeLab]:
    made: list[Lab] = []

    def make() -> Lab:
        home = tmp_path / str(len(made))
        home.mkdir()
        made.append(Lab(home))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


def story(lab: Lab, kind: str) -> None:
    """Some batches, bad records, and a text that has stopped the table."""
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 3), batch_bytes=200)
    if kind == "parquet":
        lab.engine = ParquetEngine(no_session, lab.store)
        lab.read_rows = parquet_rows(lab)
        lab.register(format="parquet", partition_by=("day",), max_quarantine_ratio=1.0)
    else:
        lab.register(mode="upsert", primary_key=("id",), max_quarantine_ratio=1.0)
    for n in range(5):
        lab.send({"id": n, "day": f"d{n % 3}", "amount": n}, key=str(n))
    lab.send(b"{", reason="not one valid JSON document")
    lab.cycle()
    lab.send({"id": 7, "day": "d1", "amount": "seven"}, key="7")
    with pytest.raises(SchemaBlockedError):
        lab.cycle()


def parquet_rows(lab: Lab) -> Callable[..., list[dict[str, Any]]]:
    """What a reader finds in the table's folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(_dataset: object) -> list[dict[str, Any]]:
        keys = [i.key for i in lab.store.list("lake/t/")]
        tables = [pq.read_table(pa.BufferReader(lab.store.get(k)), partitioning=None) for k in keys]
        return [row for table in tables for row in table.to_pylist()]

    return rows


def work(lab: Lab, trap: Trap | None = None) -> Rebuilder:
    if trap is None:
        return Rebuilder(lab.metastore, lab.ports(), lab.limits)
    ports = faulty_ports(lab, trap)
    if isinstance(lab.engine, ParquetEngine):
        ports["engine"] = Faulty(trap, ParquetEngine(no_session, ports["store"]))
    metastore = cast(Repository, ports["metastore"])
    return Rebuilder(metastore, lab.ports(**ports), lab.limits)


def run(rebuilder: Rebuilder, asked: dict[str, Any]) -> None:
    rebuilder.begin("t", asked, "ops")
    for _ in rebuilder.build("t"):
        pass
    rebuilder.swap("t")


def trapped(lab: Lab, trap: Trap, kind: str) -> bool:
    """Runs into the trap, then on; False when the trap was not reached."""
    story(lab, kind)
    try:
        run(work(lab, trap), ASKED[kind])
    except Fault:
        lab.workers.crash()
    except LakeError:
        lab.workers.dead.add(lab.workers.current)
    try:
        went_on(lab, kind)
    except (AssertionError, LakeError) as error:
        raise AssertionError(f"{trap.where} (call {trap.at}): {error!r}") from error
    return bool(trap.where)


def went_on(lab: Lab, kind: str) -> None:
    dataset = lab.dataset()
    if lab.metastore.get("t").status is not Status.BLOCKED:
        lab.cycle()  # ends a swap that was left
        lab.account()
    if lab.metastore.rebuild("t") is not None or lab.dataset() == dataset:
        finish(lab, kind)
    lab.account()
    assert lab.metastore.get("t").status is Status.LIVE
    assert lab.metastore.rebuild("t") is None
    assert [i.key for i in lab.store.list("") if ".rebuild-" in i.key] == []
    assert [v.status for v in lab.metastore.schema_versions("t")] == ["SUPERSEDED", "ACTIVE"]
    assert lab.metastore.get("t").version == 2
    lab.send({"id": 8, "day": "d2", "amount": "8"}, key="8")
    lab.cycle()
    lab.account()
    progress = lab.metastore.progress("t")
    assert progress.applied_seq == progress.head_seq


def finish(lab: Lab, kind: str) -> None:
    rebuilder = work(lab)
    rebuilder.end_left("t")
    if lab.dataset().columns:
        return
    run(rebuilder, {} if lab.metastore.rebuild("t") else ASKED[kind])


def every(make_lab: MakeLab, trap_at: Callable[[int], Trap], kind: str) -> set[str]:
    places: set[str] = set()
    for at in range(1, 1_000):
        lab, trap = make_lab(), trap_at(at)
        if not trapped(lab, trap, kind):
            break
        places.add(trap.where)
    return places


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("upsert", "before"),
        pytest.param("parquet", "after", marks=pytest.mark.deep),
        pytest.param("upsert", "after", marks=pytest.mark.deep),
        pytest.param("parquet", "before", marks=pytest.mark.deep),
    ],
)  # fmt: skip
def test_a_kill_at_every_change(make_lab: MakeLab, kind: str, when: str) -> None:
    places = every(make_lab, lambda at: Trap(at, CHANGES | SHADOW, when), kind)
    wanted = "begin_rebuild write record_batch put put_new clear delete move_in move swap_in"
    assert {f"{when} {name}" for name in wanted.split()} <= places


@pytest.mark.slow
@pytest.mark.deep
@pytest.mark.parametrize("kind", ASKED)
def test_a_store_whose_reply_is_lost(make_lab: MakeLab, kind: str) -> None:
    def trap(at: int) -> Trap:
        calls = frozenset(["put", "put_new", "delete"])
        return Trap(at, calls, "after", StorageUnavailableError("reply lost"))

    assert {"after put", "after put_new", "after delete"} <= every(make_lab, trap, kind)


@pytest.mark.slow
@pytest.mark.deep
@pytest.mark.parametrize("kind", ASKED)
def test_a_store_that_fails_at_every_call(make_lab: MakeLab, kind: str) -> None:
    def trap(at: int) -> Trap:
        return Trap(at, STORE_CALLS, "before", StorageUnavailableError("no answer"))

    places = every(make_lab, trap, kind)
    assert {f"before {name}" for name in ("get", "list", "put", "put_new", "head")} <= places

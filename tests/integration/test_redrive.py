"""Records that come back from quarantine into real tables, held against the deep audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lake_platform.domain.quality import Reason
from lake_platform.load import quarantined
from lake_platform.load.redrive import Redrive
from lake_platform.load.redriven import Fate
from tests.audit_support import Copy
from tests.integration.test_steps import UPSERT, MakeLab, make_lab
from tests.spark_support import spark
from tests.support import HOUR_MS, Lab

__all__ = ["make_lab", "spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CONFLICT, TOO_LONG = Reason.CONFLICT.value, Reason.PARTITION_TOO_LONG.value


def change(lab: Lab, **fields: Any) -> None:
    lab.metastore.update("t", fields, lab.metastore.get("t").version, "test")


def drive(lab: Lab) -> tuple[Fate, ...]:
    running = Redrive("t", lab.ports(), lab.limits, quarantined.wanted())
    list(running.run())
    return running.outcome.fates


def sound(lab: Lab) -> None:
    report = Copy(lab, lab.home / "storage").audit()
    assert report.sound, report


def mended(lab: Lab, reason: str) -> None:
    sent = lab.sent["t"]
    lab.sent["t"] = [replace(r, reason="") if r.reason == reason else r for r in sent]


def test_an_upsert_table_keeps_newer_rows_and_later_deletes(make_lab: MakeLab) -> None:
    lab = make_lab(on_conflict="quarantine", **UPSERT)
    for n in range(4):
        lab.send({"id": n, "n": n}, key=str(n))
    lab.cycle()
    lab.now_ms += HOUR_MS
    for n in range(1, 4):
        lab.send({"id": n, "n": "many"}, key=str(n), reason=CONFLICT)
    lab.cycle()
    lab.now_ms += HOUR_MS
    lab.send({"id": 1, "n": 100}, key="1")
    lab.send(None, key="2")
    lab.cycle()
    lab.account()
    sound(lab)
    assert lab.metastore.progress("t").quarantined == 3
    change(lab, on_conflict="rescue")
    mended(lab, CONFLICT)
    assert drive(lab) == (Fate(CONFLICT, 3, {}),)
    lab.account()
    sound(lab)
    found = {r["id"]: (r["n"], r["_rescued"]) for r in lab.rows()}
    assert found == {0: (0, None), 1: (100, None), 3: (None, '{"/n":"many"}')}
    assert lab.metastore.progress("t").quarantined == 0
    assert drive(lab) == ()
    lab.account()


@pytest.mark.parametrize("kind", [{"format": "parquet"}, {}], ids=["parquet", "hudi"])
def test_an_append_table_gets_each_record_once(make_lab: MakeLab, kind: dict[str, Any]) -> None:
    """A value that has a place by now, and one that a step made unfit until the step is mended."""
    broken = "SELECT *, IF(id = 2, repeat('x', 300), 'p') AS part FROM input"
    values = [{"id": n, "n": n} for n in range(5)]
    lab = make_lab(
        *values, steps=(broken,), partition_by=("part",), on_conflict="quarantine", **kind
    )
    lab.cycle()
    lab.now_ms += HOUR_MS
    lab.send_all([{"id": 9, "n": 9}, {"id": 10, "n": "many"}])
    lab.cycle()
    assert sorted(q["reason"] for q in lab.quarantined()) == sorted([CONFLICT, TOO_LONG])
    stays = (Fate(CONFLICT, 0, {CONFLICT: 1}), Fate(TOO_LONG, 0, {TOO_LONG: 1}))
    assert drive(lab) == stays
    change(lab, transforms=[{"sql": "SELECT *, 'p' AS part FROM input"}], on_conflict="rescue")
    assert drive(lab) == (Fate(CONFLICT, 1, {}), Fate(TOO_LONG, 1, {}))
    assert sorted(r["id"] for r in lab.rows()) == [0, 1, 2, 3, 4, 9, 10]
    assert [r["_rescued"] for r in lab.rows() if r["id"] == 10] == ['{"/n":"many"}']
    assert lab.quarantined() == []
    sound(lab)
    progress = lab.metastore.progress("t")
    assert (progress.records, progress.quarantined) == (7, 0)
    assert drive(lab) == ()

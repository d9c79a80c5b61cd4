"""Rebuilt Parquet tables under the audit, which reads them and the topic by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.auditor import audit
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.domain.decisions import Decision
from lake_platform.errors import SchemaBlockedError
from lake_platform.metastore.incident import Outcome
from lake_platform.rebuild.rebuild import Rebuilder
from tests.audit_support import MemoryTopic, local_files, no_session
from tests.support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, store=open_store((tmp_path / "storage").as_uri()))
    lab.engine = ParquetEngine(no_session, lab.store)
    yield lab
    lab.close()


def check(lab: Lab, table: str, rows: int) -> None:
    files = local_files(lab.home / "storage")
    sources = Sources(lab.metastore, files, MemoryTopic(lab.kafka), lambda f: open_reader(f, files))
    for deep in (False, True):
        report = audit(table, sources, deep=deep)
        assert report.sound, report
        assert report.total.table == rows


@pytest.mark.parametrize("action", ["reject", "quarantine", "rescue"])
def test_what_was_put_aside_is_a_row_where_it_fits_now(lab: Lab, action: str) -> None:
    lab.register(format="parquet", max_quarantine_ratio=1.0)
    lab.send_all([{"id": 1, "v": 1}, b"{"])
    lab.cycle()
    lab.send_all([{"id": 2, "v": "two"}, {"id": 3, "v": 3}])
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t")
    decided = Decision("v", action, 2, 2)  # type: ignore[arg-type]
    lab.metastore.settle(incident.id, Outcome(action, [decided]), "ops")
    lab.load()
    kept = 3 if action == "rescue" else 2
    check(lab, "t", kept)
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    for change, rows in (({"partition_by": ["id"]}, kept), ({"columns.v": {"type": "string"}}, 3)):
        work.begin("t", change, "ops")
        list(work.build("t"))
        rebuild = lab.metastore.rebuild("t")
        assert rebuild is not None
        check(lab, rebuild.shadow.table, rows)
        work.swap("t")
        check(lab, "t", rows)

"""A break that ends a table: another one begins with the raw commits that were held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import InvalidFieldError, NameTakenError, SchemaBlockedError
from lake_platform.load.held import begun
from lake_platform.maintain.cleaner import compact_log
from lake_platform.metastore.incident import Incident
from lake_platform.rebuild.rebuild import Rebuilder
from tests.cleaner_support import DAY_MS
from tests.support import Lab, check_append
from tests.unit.sharing.test_raw_from import reader, use_cases
from tests.unit.trial.test_preview import look

NEW = Asked("new_table")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.register(format="parquet")
    for n in range(3):
        lab.send({"n": n})
        lab.cycle()
    yield lab
    lab.close()


def broken(lab: Lab, table: str = "t") -> Incident:
    for value in ("text", 7, "more"):
        lab.send({"n": value})
        lab.dump("t")
    with pytest.raises(SchemaBlockedError):
        lab.load(table)
    return lab.metastore.incidents(table, "OPEN")[0]


def check_parts(lab: Lab, old: str, new: str, at: int = 3) -> None:
    check_append(lab.rows(old), lab.sent["t"][:at])
    active = lab.metastore.active_schema(new)
    assert active is not None
    check_append(lab.rows(new), lab.sent["t"][at:], active.source)


def test_each_record_is_in_one_of_the_two(lab: Lab) -> None:
    incident = broken(lab)
    cases = use_cases(lab)
    closed = cases.resolve_incident(incident.id, NEW, "ann")
    assert (closed.status, closed.resolution) == ("RESOLVED", "new_table t_2")
    assert cases.resolve_incident(incident.id, NEW, "bob") == closed
    assert cases.resolve_incident(incident.id, Asked("new_table", table="t_2"), "bob") == closed
    with pytest.raises(InvalidFieldError, match="resolved by ann with new_table t_2"):
        cases.resolve_incident(incident.id, Asked("new_table", table="t_3"), "bob")
    assert [r.applied.batch.first_seq for r in lab.load("t_2")] == [4]
    assert lab.load("t") == []
    check_parts(lab, "t", "t_2")
    assert {str(f.type) for f in lab.metastore.active_schema("t_2").source.fields} == {"string"}  # type: ignore[union-attr]
    lab.send({"n": "later"})
    lab.dump("t")
    assert lab.load("t") == []
    lab.load("t_2")
    check_parts(lab, "t", "t_2")
    assert {lab.metastore.get(t).status for t in ("t", "t_2")} == {Status.LIVE}
    seen = lab.metastore.progress("t")
    assert (seen.waiting, seen.ends_at, seen.continued_in) == (0, 3, "t_2")


def test_replays_and_rebuilds_stay_within_their_part(lab: Lab) -> None:
    use_cases(lab).resolve_incident(broken(lab).id, NEW, "ann")
    lab.load("t_2")
    [window] = {w for c in lab.dump("t") or () for w in c.windows} or {"2026-11-01-00:00"}
    for table in ("t", "t_2"):
        lab.load(table, replay=[window])
    check_parts(lab, "t", "t_2")
    for table in ("t", "t_2"):
        rebuilder = Rebuilder(lab.metastore, lab.ports(), lab.limits)
        rebuilder.begin(table, {"partition_by": ["n"]}, "ann")
        list(rebuilder.build(table))
        rebuilder.swap(table)
    check_parts(lab, "t", "t_2")
    lab.send({"n": "later"})
    lab.dump("t")
    assert lab.load("t") == []
    lab.load("t_2")
    check_parts(lab, "t", "t_2")


def test_a_reader_goes_on_in_another_reader(lab: Lab) -> None:
    use_cases(lab).register_dataset(reader(), "ann")
    lab.load("t2")
    incident = broken(lab, "t2")
    use_cases(lab).resolve_incident(incident.id, Asked("new_table", table="fresh"), "ann")
    assert lab.metastore.get("fresh").dataset.raw_from == "t"
    lab.load("fresh")
    check_parts(lab, "t2", "fresh")
    assert lab.metastore.get("t").status is Status.LIVE


def test_the_old_table_keeps_no_raw_back(lab: Lab) -> None:
    use_cases(lab).resolve_incident(broken(lab).id, NEW, "ann")
    lab.now_ms += 40 * DAY_MS
    kept = compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1)
    assert kept.raw_removed == 3
    lab.load("t_2")
    gone = compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1)
    assert gone.raw_removed == 2  # the newest commit stays in the log
    check_parts(lab, "t", "t_2")


def test_a_load_that_began_before_writes_nothing_behind_the_end(lab: Lab) -> None:
    incident = broken(lab)
    stale = lab.metastore.get("t")
    use_cases(lab).resolve_incident(incident.id, NEW, "ann")

    class Sleeper:
        """Knows of the definition what it was."""

        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> object:
            return getattr(lab.metastore, name)

        def get(self, table: str) -> object:
            self.calls += 1
            before = Status.LIVE
            return (
                stale.__class__(stale.dataset, 1, before, 0)
                if self.calls <= 2
                else (lab.metastore.get(table))
            )

    with pytest.raises(Exception, match="was stopped since this load began"):
        lab.load("t", metastore=Sleeper())
    assert not lab.metastore.incidents("t", "OPEN")
    lab.load("t_2")
    check_parts(lab, "t", "t_2")


def test_a_dry_run_changes_nothing(lab: Lab) -> None:
    incident = broken(lab)
    would = begun(use_cases(lab).beginning(incident.id, NEW), "t", lab.ports())
    assert (would.commits, would.records, would.not_looked_at) == (3, 3, 3)
    assert would.changes == ["table t_2 begins with these, t ends before them"]
    assert not lab.metastore.name_taken("t_2")
    assert lab.metastore.get("t").status is Status.BLOCKED


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Asked("new_table", always=True), "always=True"),
        (Asked("rescue", {"n": "new_table"}, table="x"), None),
        (Asked("rescue", table="x"), "none is asked for"),
        (Asked("new_table", table="a/b"), "not a valid name"),
        (Asked("new_table", {"n": "rescue"}), "takes the held raw commits whole"),
    ],
)
def test_what_does_not_fit(lab: Lab, asked: Asked, why: str | None) -> None:
    incident = broken(lab)
    if why is None:
        use_cases(lab).resolve_incident(incident.id, asked, "ann")
        assert lab.metastore.name_taken("x")
        return
    with pytest.raises(InvalidFieldError, match=why):
        use_cases(lab).resolve_incident(incident.id, asked, "ann")
    assert lab.metastore.get("t").status is Status.BLOCKED


def test_a_name_that_is_taken(lab: Lab) -> None:
    use_cases(lab).register_dataset(reader("T_2"), "ann")
    incident = broken(lab)
    with pytest.raises(NameTakenError):
        use_cases(lab).resolve_incident(incident.id, Asked("new_table", table="t_2"), "ann")
    closed = use_cases(lab).resolve_incident(incident.id, NEW, "ann")
    assert closed.resolution == "new_table t_3"


def test_a_preview_of_either_looks_at_its_own_part(lab: Lab) -> None:
    use_cases(lab).resolve_incident(broken(lab).id, NEW, "ann")
    lab.load("t_2")
    for table in ("t", "t_2"):
        found = look(lab, table, changes={"columns.extra": {"type": "long"}})
        assert found.before.balance.records == found.after.balance.records == 3
        assert found.rows.counts == {"same": 3}

"""What new columns, wider and breaking values, and too many bad records do to a load."""

from __future__ import annotations

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import (
    NotRunnableError,
    QuarantineRatioError,
    SchemaBlockedError,
)
from tests.support import Lab
from tests.unit.load.test_load import SOURCE, MakeLab, make_lab

__all__ = ["make_lab"]


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


class TestSchemaLife:
    def test_same_batch_adds_columns_at_any_depth(self, lab: Lab) -> None:
        lab.register(
            source=Struct((*SOURCE.fields, Field("o", Struct((Field("a", Scalar("long")),)))))
        )
        lab.send({"id": 1, "name": "a", "o": {"a": 1}})
        lab.cycle()
        lab.send({"id": 2, "name": "b", "extra": [{"k": 1}], "o": {"a": 1, "b": "x"}})
        lab.send({"id": 3})
        (done,) = lab.cycle()
        assert sorted(c.path for c in done.changes) == ["extra", "o.b"]
        assert done.schema_version == 2
        lab.account()

    def test_next_batch_loads_twice_and_once(self, lab: Lab) -> None:
        lab.register(source=SOURCE, evolution="next_batch")
        lab.send({"id": 1, "name": "a"})
        lab.cycle()
        lab.send({"id": 2, "extra": 5})
        lab.dump()
        first, second = lab.load()
        assert (first.applied.reapply, second.applied.reapply) == (True, False)
        assert second.applied.replay
        assert "extra" not in [f.name for f in first.table_schema.fields]
        assert [r.get("extra") for r in lab.rows()] == [None, 5]
        lab.account()
        assert lab.metastore.progress("t").records == 2

    def test_widening_is_automatic(self, lab: Lab) -> None:
        lab.register(source=Struct((Field("n", Scalar("int")),)))
        lab.send({"n": 1})
        lab.cycle()
        lab.send({"n": 2**40})
        (done,) = lab.cycle()
        assert [str(c) for c in done.changes] == ["column n: int became long (widen)"]
        lab.account()

    def test_breaking_writes_nothing_and_phase_one_goes_on(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        before = lab.rows()
        lab.send({"id": 2})
        lab.send({"id": "three"})
        lab.dump()
        with pytest.raises(SchemaBlockedError) as caught:
            lab.load()
        assert caught.value.changes == ["column id: long became string (type)"]
        assert lab.rows() == before
        assert lab.metastore.get("t").status == Status.BLOCKED
        (incident,) = lab.metastore.incidents("t")
        assert incident.samples[0]["offset"] == 2
        with pytest.raises(NotRunnableError):
            lab.load()
        lab.send({"id": 4})
        assert len(lab.dump()) == 1
        assert lab.metastore.get("t").status == Status.BLOCKED

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ({"id": 2**63}, "decimal"),
            ({"id": 1.5}, "double"),
            ({"id": {"x": 1}}, "struct"),
            ({"id": [1]}, "array"),
            ({"name": {"x": 1}}, "struct"),
        ],
    )
    def test_breaking_kinds(self, lab: Lab, value: object, kind: str) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1, "name": "a"})
        lab.cycle()
        lab.send(value)
        with pytest.raises(SchemaBlockedError) as caught:
            lab.cycle()
        assert kind in str(caught.value)
        assert len(lab.rows()) == 1

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ((1, "one"), "string"),
            ((1, True), "json"),
            ((1, 2.5), "double"),
            ((2.5, 1), "double"),
            ((1, [2]), "array<long>"),
            (({"a": 1}, 5), "json"),
            (({"a": 1}, {"a": "x"}), "struct<a:string>"),
            ((2**70, 1), "decimal(22,0)"),
            ((2**200, 1), "json"),
        ],
    )
    def test_values_of_a_new_column_that_differ_are_seen_first(
        self, lab: Lab, values: tuple[object, ...], kind: str
    ) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1, "name": "a"})
        lab.cycle()
        for value in values:
            lab.send({"id": 2, "x": value})
        (done,) = lab.cycle()
        active = lab.metastore.active_schema("t")
        assert active is not None
        assert [(f.name, str(f.type)) for f in active.source.fields[2:]] == [("x", kind)]
        assert [str(c) for c in done.changes] == [f"new column x {kind}"]

    def test_the_first_batch_decides_with_what_was_seen_before(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": "one", "name": 5})
        lab.send({"id": 2, "name": {"x": 1}})
        (done,) = lab.cycle()
        assert done.schema_version == 2
        active = lab.metastore.active_schema("t")
        assert active is not None
        assert [str(f.type) for f in active.source.fields] == ["string", "json"]
        assert [(r["id"], r["name"]) for r in lab.rows()] == [("one", "5"), ("2", '{"x": 1}')]

    def test_nothing_is_on_record_when_a_first_batch_fails(self, lab: Lab) -> None:
        lab.register(source=SOURCE, max_quarantine_ratio=0.0)
        lab.send({"id": "one"})
        lab.send_all([b"{"] * 11)
        with pytest.raises(QuarantineRatioError):
            lab.cycle()
        active = lab.metastore.active_schema("t")
        assert active is not None
        assert active.version == 1

    def test_absent_columns_are_no_change(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({})
        lab.send({"name": None})
        (done,) = lab.cycle()
        assert done.changes == ()
        lab.account()


class TestQuarantineRatio:
    def test_too_many_bad_records_stop_and_write_nothing(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send_all([{"id": n} for n in range(50)])
        lab.send_all([b"{"] * 11)
        with pytest.raises(QuarantineRatioError) as caught:
            lab.cycle()
        assert (caught.value.bad, caught.value.total) == (11, 61)
        assert lab.rows() == []
        assert lab.quarantined() == []
        assert "11 of 61" in lab.metastore.progress("t").last_error

    def test_the_raised_limit_lets_them_through(self, lab: Lab) -> None:
        lab.register(source=SOURCE, max_quarantine_ratio=1.0)
        lab.send_all([b"{"] * 11, reason="not one valid JSON document")
        lab.cycle()
        lab.account()

    def test_ten_are_always_tolerated(self, lab: Lab) -> None:
        lab.register(source=SOURCE, max_quarantine_ratio=0.0)
        lab.send_all([b"{"] * 10, reason="not one valid JSON document")
        lab.cycle()
        lab.account()

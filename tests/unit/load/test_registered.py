"""Schema changes whose reason is a schema of the registry: shown with it, and with its verdict."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.absent import AbsentFor
from lake_platform.errors import SchemaBlockedError
from tests.support import Lab
from tests.unit.dump.test_registry import put, types, wire
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_HOUR = 3_600_000
_ID: dict[str, Any] = {"name": "id", "type": "long", "doc": "number of the order"}
_NOTE: dict[str, Any] = {"name": "note", "type": ["null", "string"], "default": None}
_PRICE = {"name": "price", "type": "double", "doc": "in the shop's currency"}
_SUBJECT = "topic.t-value"


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def _record(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields)}


def _put(lab: Lab, schema: Any, value: Any, **said: Any) -> None:
    number = lab.kafka.registry.register(_SUBJECT, schema, **said)
    put(lab, wire(number, schema, value))


def _whys(lab: Lab) -> dict[str, tuple[str, str]]:
    return {m.column: (m.doc, m.reason) for _, m in lab.metastore.mapping("t")}


def test_a_change_names_its_schema_and_both_verdicts(lab: Lab) -> None:
    lab.register(value_format="avro")
    _put(lab, _record(_ID), {"id": 1})
    lab.cycle()
    assert _whys(lab)["id"] == ("number of the order", "declared by schema 1, required")
    _put(lab, _record(_ID, _PRICE), {"id": 2, "price": 1.5}, level="BACKWARD", fits=False)
    lab.cycle()
    newest = lab.metastore.schema_versions("t")[-1]
    assert newest.changes == (
        "new column price double",
        f"declared by schema 2, version 2 of {_SUBJECT}; in the registry BACKWARD, not compatible "
        f"with the version before; automatic here",
    )
    assert _whys(lab)["price"] == (
        "in the shop's currency", "new in version 2, declared by schema 2, required",
    )  # fmt: skip


def test_a_schema_that_changes_nothing_is_no_version(lab: Lab) -> None:
    lab.register(value_format="avro")
    _put(lab, _record(_ID), {"id": 1})
    lab.cycle()
    _put(lab, _record({**_ID, "doc": "said otherwise"}), {"id": 2})
    lab.cycle()
    assert len(lab.metastore.schema_versions("t")) == 1


def test_what_breaks_tells_the_schema(lab: Lab) -> None:
    lab.register(value_format="avro")
    _put(lab, _record(_ID), {"id": 1})
    lab.cycle()
    text = _record({"name": "id", "type": "string"})
    _put(lab, text, {"id": "a"}, level="FULL", fits=False)
    lab.dump()
    with pytest.raises(SchemaBlockedError):
        lab.load()
    (incident,) = lab.metastore.incidents("t", "OPEN")
    assert [c["registry"] for c in incident.changes] == [
        f"declared by schema 2, version 2 of {_SUBJECT}; in the registry FULL, not compatible with "
        f"the version before; breaking here"
    ]


def _batch(lab: Lab, schema: Any, value: Any) -> None:
    lab.now_ms += _HOUR
    for _ in range(2):
        _put(lab, schema, value)
    lab.cycle()


_POLICY = AbsentFor(batches=2, hours=1, records=1)


def test_a_column_goes_when_no_schema_has_it_any_more(lab: Lab) -> None:
    lab.register(value_format="avro", absent_for=_POLICY)
    both, less = _record(_ID, _NOTE), _record(_ID)
    _batch(lab, both, {"id": 1, "note": "a"})
    _batch(lab, less, {"id": 2})
    _batch(lab, both, {"id": 3, "note": None})  # a producer of before, and nothing to say
    _batch(lab, less, {"id": 4})
    assert set(types(lab)) == {"id", "note"}
    _batch(lab, less, {"id": 5})
    assert set(types(lab)) == {"id"}
    assert lab.metastore.schema_versions("t")[-1].changes == (
        f"DROP COLUMN note: absent and not declared for {_POLICY}",
    )
    assert [r.get("note") for r in lab.plain_rows()][:2] == ["a", "a"]


def test_a_column_that_is_declared_stays_however_sparse(lab: Lab) -> None:
    lab.register(value_format="avro", absent_for=_POLICY)
    both = _record(_ID, _NOTE)
    _batch(lab, both, {"id": 1, "note": "a"})
    for number in range(2, 7):
        _batch(lab, both, {"id": number, "note": None})
    assert set(types(lab)) == {"id", "note"}

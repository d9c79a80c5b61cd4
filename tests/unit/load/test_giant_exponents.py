"""Numbers whose digits nobody can write down: judged like any other, at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from lake_platform.audit.scalars import Number, UnfitError, since_1970
from lake_platform.domain.schema import Decimal, Field, Scalar, Struct, Type, grown
from lake_platform.domain.schema_json import from_json
from lake_platform.records.observe import observe
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_NUMBERS = [
    "1e9991234567890", "1e-9991234567890", "-1.5e-400000000", "0e9991234567890",
    "12345678901234567890123e-999999999", "1e-9223372036854775807", "1e99999999999999999999",
    "0e99999999999999999999",
]  # fmt: skip
_TYPES = [
    "boolean", "int", "long", "float", "double", "string", "date", "timestamp", "binary", "json",
    "decimal(10,2)", "decimal(38,0)", "timestamp:s", "timestamp:ns", "date:ms",
]  # fmt: skip


def _type(text: str) -> Type:
    name, _, unit = text.partition(":")
    return Scalar(name, unit) if unit else from_json(text)


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", _TYPES)
@pytest.mark.parametrize("on_conflict", ["quarantine", "rescue"])
def test_in_a_column_of_each_type(lab: Lab, kind: str, on_conflict: Any) -> None:
    source = Struct((Field("id", Scalar("long")), Field("v", _type(kind))))
    lab.register(
        source=source, on_conflict=on_conflict, max_quarantine_ratio=1, max_rescued_ratio=1
    )
    lab.send({"id": 0})
    lab.cycle()
    for number in _NUMBERS:
        lab.send(f'{{"id":1,"v":{number}}}'.encode())
        (done,) = lab.cycle()
        assert done.applied.balance.difference == 0
    assert lab.metastore.get("t").status == "LIVE"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", _NUMBERS)
def test_at_first_sight_and_in_new_columns(lab: Lab, number: str) -> None:
    lab.register(max_quarantine_ratio=1)
    lab.send(f'{{"id":1,"v":{number},"l":[1.25,{number}]}}'.encode())
    lab.send(b'{"id":2,"v":123456789.5}')
    lab.cycle()
    lab.send(f'{{"id":3,"w":{number},"o":{{"x":{number}}}}}'.encode())
    lab.cycle()
    assert lab.metastore.get("t").status == "LIVE"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", _NUMBERS)
def test_a_decimal_does_not_count_its_digits(number: str) -> None:
    like = Decimal(12, 4)
    assert isinstance(observe(Number.of(number), like), Decimal)
    assert not grown(like, Decimal(10**13, 10**12)).storable


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", _NUMBERS)
@pytest.mark.parametrize("kind", [Scalar("timestamp", "s"), Scalar("date", "ns")])
def test_the_audit_reads_it_as_a_time_or_not_at_all(number: str, kind: Scalar) -> None:
    try:
        found = since_1970(kind)(Number.of(number))
    except UnfitError:
        assert "e-" not in number or kind.name == "date" or "e-9223" in number
    else:
        assert found in (0, -1, dt.date(1970, 1, 1))

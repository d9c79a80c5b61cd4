"""Which raw values conform to a schema, on the fast path and on the slow one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.domain.diff import diff
from lake_platform.domain.schema import (
    JSON,
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
)
from lake_platform.records.conform import (
    Conformer,
    parse_value,
    value_bytes,
)
from lake_platform.records.observe import merge_observed, observe
from tests.properties import examples

LONG, INT, DOUBLE, FLOAT = Scalar("long"), Scalar("int"), Scalar("double"), Scalar("float")
TEXT, BOOL, DATE, TIME = Scalar("string"), Scalar("boolean"), Scalar("date"), Scalar("timestamp")
TYPES: dict[str, Type] = {
    "boolean": BOOL, "int": INT, "long": LONG, "double": DOUBLE, "string": TEXT, "date": DATE,
    "timestamp": TIME, "decimal": Decimal(10, 2), "binary": Scalar("binary"),
    "struct": Struct((Field("x", LONG),)), "array": Array(LONG), "map": Map(LONG),
    "json": JSON, "unknown": UNKNOWN,
}  # fmt: skip
# JSON text -> the types it conforms to. Everything not listed is a conflict.
FITS: dict[str, str] = {
    "true": "boolean string",
    "0": "int long double decimal string array",
    "-7": "int long double decimal string array",
    "5.0": "int long double decimal string array",
    "1e3": "int long double decimal string array",
    "2147483647": "int long double string array",
    "2147483648": "long double string array",
    "-2147483649": "long double string array",
    "-2147483649.00": "long double string array",
    "9007199254740992": "long double string array",
    "9007199254740993": "long string array",
    "9007199254740993.0": "long double string array",
    "9223372036854775807": "long string array",
    "9223372036854775808": "double string",
    "-9223372036854775808": "long double string array",
    "-9223372036854775809": "string",
    "123456789012345678901234567890": "string",
    "1.5": "double decimal string",
    "1.125": "double string",
    "0.1": "double decimal string",
    "0.30000000000000004": "double string",
    "3.141592653589793238462643": "string",
    "123456789012345678.5": "string",
    "1e300": "double string",
    '"te-xt"': "string",
    '"5"': "string",
    '"2026-11-01"': "string date timestamp",
    '"2026-11-01T10:00:00Z"': "string timestamp",
    '"eHg="': "string binary",
    '{"x":1}': "struct map",
    '{"x":"y"}': "",
    '{"y":1}': "map",
    "[1,2]": "array",
    "[1.5]": "",
    '["a"]': "",
    "[]": "array unknown struct map",
    "{}": "struct map unknown array",
    "[null]": "array",
    "null": " ".join(TYPES),
}
PLACES = {
    "root": lambda kind: Struct((Field("a", kind),)),
    "struct": lambda kind: Struct((Field("a", Struct((Field("b", kind),))),)),
    "element": lambda kind: Struct((Field("a", Array(kind)),)),
    "value": lambda kind: Struct((Field("a", Map(kind)),)),
}
TEXTS = {
    "root": '{{"a":{}}}', "struct": '{{"a":{{"b":{}}}}}', "element": '{{"a":[{}]}}',
    "value": '{{"a":{{"k":{}}}}}',
}  # fmt: skip


def line_of(text: str) -> bytes:
    head = '{"partition":0,"offset":1,"timestamp":5,"key":null,"value":'
    return f"{head}{text}}}".encode()


def fast(schema: Struct, text: str) -> bool:
    conformer = Conformer(schema)
    line = line_of(text)
    if conformer.suspicious(line):
        return False
    try:
        conformer.decode(line)
    except ValueError:
        return False
    return True


def slow(schema: Struct, text: str) -> bool:
    return diff(schema, seen(schema, text), partial=True) == []


def seen(schema: Struct, text: str) -> Struct:
    found = observe(parse_value(line_of(text)), schema)
    assert isinstance(found, Struct)
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", TYPES)
def test_matrix(name: str, place: str) -> None:
    schema = PLACES[place](TYPES[name])
    for text, fitting in FITS.items():
        expected = name == "json" or name in fitting.split()
        document = TEXTS[place].format(text)
        quick, exact = fast(schema, document), slow(schema, document)
        if name == "unknown":
            expected = exact  # what is first seen is no conflict but a new column
        assert exact == expected, (document, name)
        # The fast path may send a sound value the slow way, but never lets an unsound one pass.
        assert not quick or exact, (document, name)


def test_everyday_values_take_the_fast_path() -> None:
    schema = Struct(
        (Field("l", LONG), Field("d", DOUBLE), Field("s", TEXT), Field("b", BOOL),
         Field("o", Struct((Field("x", Array(LONG)),))), Field("m", Map(DOUBLE)))
    )  # fmt: skip
    text = '{"l":1,"d":0.30000000000000004,"s":"x","b":true,"o":{"x":[1,null]},"m":{"k":1}}'
    assert fast(schema, text)
    assert fast(schema, "{}")
    assert fast(schema, '{"d":5,"l":null}')


@pytest.mark.parametrize("text", ["0.1", "0.2", "0.30000000000000004", "1e-300", "5e-324", "-0.0"])
def test_what_a_double_writes_comes_back_as_a_double(text: str) -> None:
    schema = PLACES["root"](DOUBLE)
    assert slow(schema, TEXTS["root"].format(text))
    assert parse_value(line_of(TEXTS["root"].format(text)))["a"] == float(text)


@examples(500)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_conforms(number: float) -> None:
    assert slow(PLACES["root"](DOUBLE), json.dumps({"a": number}))


@examples(500)
@given(number=st.integers(-(2**70), 2**70), kind=st.sampled_from([INT, LONG, DOUBLE]))
def test_no_integer_conforms_that_would_be_changed(number: int, kind: Scalar) -> None:
    text = json.dumps({"a": number})
    kept = (
        number == int(float(number))
        if kind == DOUBLE
        else abs(number + 0.5) < 2 ** (31 if kind == INT else 63)
    )
    if kind != DOUBLE:
        bits = 31 if kind == INT else 63
        kept = -(2**bits) <= number < 2**bits
    if fast(PLACES["root"](kind), text):
        assert kept
    if slow(PLACES["root"](kind), text):
        assert kept


@pytest.mark.parametrize("text", ["123456789012345678901.5", "0.12345678901234567890123", "1" * 30])
def test_numbers_a_double_column_would_change_are_suspicious(text: str) -> None:
    document = TEXTS["root"].format(text)
    assert not fast(PLACES["root"](DOUBLE), document)
    (change,) = diff(PLACES["root"](DOUBLE), seen(PLACES["root"](DOUBLE), document), partial=True)
    assert change.verdict == "breaking"


def test_long_digits_in_text_do_not_disturb() -> None:
    schema = Struct((Field("d", DOUBLE), Field("s", TEXT)))
    document = '{"d":1.5,"s":"12345678901234567890123"}'
    assert Conformer(schema).suspicious(line_of(document))
    assert slow(schema, document)


_NAMES = ["a.b", "a b", 'a"b', "a\\b", "ключ", "🙂", "", "a`b", "class", "f0", "__init__", "\n",
          "\x00", "offset", "value", "partition", "x" * 2_000, "'; DROP TABLE t"]  # fmt: skip


@pytest.mark.parametrize("name", _NAMES, ids=lambda n: ascii(n[:12]))
def test_column_names_may_be_anything(name: str) -> None:
    inner = Struct((Field(name, TEXT),))
    schema = Struct((Field(name, LONG), Field("z", inner)))
    good, bad = json.dumps({name: 5, "z": {name: "x"}}), json.dumps({name: "5"})
    conformer = Conformer(schema)
    assert slow(schema, good)
    assert not slow(schema, bad)
    assert not fast(schema, bad)
    without = conformer.decode(line_of('{"z":{}}'))
    assert getattr(without.value, conformer.attributes[name]) is None


def test_unknown_fields_never_pass_the_fast_path() -> None:
    schema = Struct((Field("a", Struct((Field("b", LONG),))), Field("c", Array(Struct(())))))
    assert not fast(schema, '{"x":null}')
    assert not fast(schema, '{"a":{"x":1}}')
    assert not fast(schema, '{"c":[{"x":1}]}')


def test_tombstones_and_rejected_values_decode_to_none() -> None:
    conformer = Conformer(PLACES["root"](LONG))
    head = b'{"partition":0,"offset":1,"timestamp":5,"key":null,'
    for tail in (b'"value":null,"tombstone":true}', b'"value_bytes":"e30=","reason":"x"}'):
        assert conformer.decode(head + tail).value is None
        assert value_bytes(head + tail) is None
    assert value_bytes(head + b'"value":{ "a" : 1.0 }}') == b'{ "a" : 1.0 }'


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (LONG, DOUBLE, DOUBLE),
        (DOUBLE, LONG, DOUBLE),
        (UNKNOWN, TEXT, TEXT),
        (TEXT, UNKNOWN, TEXT),
        (TEXT, LONG, TEXT),
        (LONG, TEXT, LONG),
        (Array(UNKNOWN), Array(LONG), Array(LONG)),
        (LONG, Decimal(38, 0), Decimal(38, 0)),
        (Struct((Field("a", LONG),)), Struct((Field("b", TEXT),)),
         Struct((Field("a", LONG), Field("b", TEXT)))),
    ],
)  # fmt: skip
def test_merge_of_observed_types(first: Type, second: Type, merged: Type) -> None:
    assert merge_observed(first, second) == merged


def test_duplicate_key_last_wins_on_both_paths() -> None:
    schema = PLACES["root"](LONG)
    document = '{"a":"x","a":2}'
    assert slow(schema, document)
    value: dict[str, Any] = parse_value(line_of(document))
    assert value == {"a": 2}

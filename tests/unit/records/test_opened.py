"""What a definition makes of records: texts with JSON in them, parsed; the record as a text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lake_platform.audit.columns import loads
from lake_platform.audit.made import Maker
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import RECORD_KEY
from lake_platform.domain.mapping import shown
from lake_platform.errors import InvalidFieldError
from lake_platform.records.conform import parse_value, value_bytes
from lake_platform.records.opened import Opened, Opener
from tests.properties import examples

PARSE = {"parse": "json"}


def dataset(columns: dict[str, Any], **options: Any) -> Dataset:
    return Dataset(topic="t", table="t", columns=columns, **options)


def opened(columns: dict[str, Any], value: Any, **options: Any) -> tuple[Any, Opened]:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    found = Opener(dataset(columns, **options)).value(text)
    return json.loads(found.data), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a":1}', {"a": 1}), (" [1, 2]\n", [1, 2]), ("5", 5), ('"x"', "x"), ("true", True),
        ('{"a":\n{"b":\r\n"\\u2028"}}', {"a": {"b": "\u2028"}}),
        ('{"a":1,"a":2}', {"a": 2}), ("12345678901234567890123", 12345678901234567890123),
        ('{"' + "k" * 2000 + '":"' + "9" * 2000 + '"}', {"k" * 2000: "9" * 2000}),
    ],
)  # fmt: skip
def test_a_text_is_read_as_the_json_it_is(text: str, says: Any) -> None:
    made, found = opened({"p": PARSE}, {"p": text})
    assert made == {"p": text, "p json": says}
    assert not found.unparsed
    assert b"\n" not in found.data


@pytest.mark.parametrize("text", ["", "  \n", "null", " null "])
def test_a_text_that_says_nothing_is_nothing(text: str) -> None:
    made, found = opened({"p": PARSE}, {"p": text})
    assert made == {"p": text}
    assert not found.unparsed


@pytest.mark.parametrize(
    "text",
    [
        "x", '{"a":1', "{} {}", '1,"x":2', '1},"value":{"x":2', "[1],2", "NaN", "Infinity", "1e400",
        "'a'", '{"a":"\\ud800"}', "\ufeff{}", "{" * 2, '{"a":' * 101 + "1" + "}" * 101,
        "[" * 100 + "]" * 100, "9" * 1001, '{"a":0.' + "1" * 1001 + "}", "\x0b1", '{"a":1}\x00',
    ],
)  # fmt: skip
def test_a_text_that_is_no_json_is_told(text: str) -> None:
    made, found = opened({"p": PARSE}, {"id": 1, "p": text})
    assert made == {"id": 1, "p": text}
    (one,) = found.unparsed
    assert (shown(one.path), one.pointer, json.loads(one.text)) == ('"p json"', "/p", text)


@pytest.mark.parametrize("value", [{"a": 1}, [1], 5, False, 1.25])
def test_what_is_no_text_is_taken_as_it_is(value: Any) -> None:
    assert opened({"p": PARSE}, {"p": value})[0] == {"p": value, "p json": value}
    assert opened({"p": PARSE}, {"p": None})[0] == {"p": None}


def test_at_any_depth() -> None:
    columns = {
        "o.p": PARSE, "l[].p": PARSE, "m": {"type": "map"}, "m[].p": PARSE, '"p json".q': PARSE,
        "p": PARSE,
    }  # fmt: skip
    value = {
        "o": {"p": "[1]", "x": 1}, "l": [{"p": "{}"}, None, {"p": "no"}, 5],
        "p": '{"q":"\\"in\\""}',
        "m": {"a/b": {"p": "1"}, "p": {"p": "2"}},
    }  # fmt: skip
    made, found = opened(columns, value)
    assert made == {
        "o": {"p": "[1]", "x": 1, "p json": [1]},
        "l": [{"p": "{}", "p json": {}}, None, {"p": "no"}, 5],
        "p": '{"q":"\\"in\\""}',
        "p json": {"q": '"in"', "q json": "in"},
        "m": {"a/b": {"p": "1", "p json": 1}, "p": {"p": "2", "p json": 2}},
    }
    assert [(shown(u.path), u.pointer) for u in found.unparsed] == [('l[]."p json"', "/l/2/p")]
    single, _ = opened({"l[].p": PARSE}, {"l": {"p": "1", "x": {"p": 2}}})
    assert single == {"l": {"p": "1", "p json": 1, "x": {"p": 2}}}


def test_other_spellings_of_the_key() -> None:
    aliases = {"p": {"parse": "json", "aliases": ["q"]}}
    assert opened(aliases, {"q": "1"})[0]["p json"] == 1
    assert opened(aliases, {"q": "1", "p": "2"})[0]["p json"] == 2
    assert opened(aliases, {"q": "1", "p": None})[0]["p json"] == 1
    assert opened({"p": PARSE}, {"P": "1"})[0]["p json"] == 1
    assert "p json" not in opened({"p": PARSE}, {"P": "1"}, case_twins="split")[0]


def test_a_key_that_the_record_has_stays_what_it_is() -> None:
    assert opened({"p": PARSE}, {"p": "1", "p json": "own"})[0] == {"p": "1", "p json": "own"}


def test_the_record_as_it_came() -> None:
    text = '{ "a" : 1.0,"b":"\\u00e9\\n","b":"é\u2028" }'
    made, found = opened({}, text.encode(), keep_raw=True)
    assert made[RECORD_KEY] == text
    line = Opener(dataset({}, keep_raw=True)).line(b'{"partition":0,"value":%b}' % text.encode())
    assert parse_value(line.data) == made
    assert value_bytes(line.data) == found.data


@pytest.mark.parametrize(
    "line",
    [b'{"partition":0,"value":null,"tombstone":true}', b'{"value_bytes":"eA==","reason":"x"}'],
)
def test_a_line_without_a_value_stays_as_it_is(line: bytes) -> None:
    assert Opener(dataset({"p": PARSE}, keep_raw=True)).line(line) == Opened(line)


def test_who_asks_for_nothing_gets_the_same_bytes() -> None:
    opener = Opener(dataset({"a": {"drop": True}}))
    assert not opener.any
    assert opener.line(b'{"value": {"a" : 1}}').data == b'{"value": {"a" : 1}}'


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"p": {"parse": "xml"}}, "columns.p.parse"),
        ({"p[]": PARSE}, "elements and values have no key"),
        ({"p": {"parse": "json", "drop": True, "name": "x"}}, "no more than parse: json"),
    ],
)
def test_hints_that_cannot_be(columns: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidFieldError, match=why.replace("[", r"\[")):
        dataset(columns)


def test_keep_raw_is_yes_or_no() -> None:
    with pytest.raises(InvalidFieldError, match="keep_raw"):
        dataset({}, keep_raw="yes")


_keys = st.sampled_from(["p", "P", "q", "p json", "o", "", "a/b", "~"])
_inner = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(_keys, v, max_size=3),
    max_leaves=6,
)
_texts = (
    _inner.map(json.dumps)
    | st.text(max_size=6)
    | st.sampled_from(
        [
            "",
            " ",
            "null",
            "{",
            "1,2",
            "Infinity",
            '{"p":NaN}',
            '{"p":"{\\"p\\":\\"1\\"}"}',
            "1e999",
            "[[]]",
            " 7\n",
        ]
    )
)
_values = st.recursive(
    _inner | _texts,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(_keys, v, max_size=4),
    max_leaves=8,
)
_hints = st.sampled_from([
    {"p": PARSE},
    {"p": {"parse": "json", "aliases": ["q"]}, '"p json".p': PARSE},
    {"o.p": PARSE, "p": {"parse": "json", "drop": True}},
    {"p[].p": PARSE, '"a/b"': PARSE, '"~".p': PARSE},
    {"o": {"type": "map"}, "o[].p": PARSE, "p": {"type": "map"}, "p[].o.p": PARSE},
])  # fmt: skip


@examples(400)
@given(
    st.dictionaries(_keys, _values, max_size=5), _hints, st.sampled_from(["merge", "split"]),
    st.booleans(),
)  # fmt: skip
@example({"P": {"p": "00"}}, {"p": {"parse": "json", "aliases": ["q"]}, '"p json".p': PARSE},
         "merge", False)  # fmt: skip
def test_an_audit_makes_the_same_of_a_record_by_other_means(
    value: dict[str, Any], columns: dict[str, Any], twins: Any, keep_raw: bool
) -> None:
    text = json.dumps(value).encode()
    one = dataset(columns, case_twins=twins, keep_raw=keep_raw)
    found = Opener(one).value(text)
    document = Maker(one.hints, apart=twins == "split").document(loads(text), text)
    assert dict(document) == loads(found.data)
    assert document.unparsed == {u.pointer: json.loads(u.text) for u in found.unparsed}

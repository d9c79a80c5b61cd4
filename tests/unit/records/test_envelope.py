"""The proof that a value is one JSON object, and the line it becomes."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.domain.quality import MAX_DEPTH, MAX_VALUE_BYTES, Reason
from lake_platform.records.envelope import Classifier, reject_reason, single_line
from tests.corpora import JSON_SUITE
from tests.properties import examples

suite = pytest.mark.skipif(not JSON_SUITE.is_dir(), reason="the JSON test suite is not here")


def files(prefix: str) -> list[Path]:
    return sorted(JSON_SUITE.glob(f"{prefix}_*.json"))


def wrapped(data: bytes) -> bytes:
    return b'{"a":' + data + b"}"


def both(value: bytes) -> bool:
    """The verdict, after both paths agreed on it."""
    quick = Classifier().sound(value)
    assert quick == (reject_reason(value) is None), value[:200]
    return quick


@suite
def test_every_sound_document_is_accepted_wrapped() -> None:
    found = files("y")
    assert len(found) == 95
    for path in found:
        assert both(wrapped(path.read_bytes())), path.name


@suite
def test_every_unsound_document_is_rejected_wrapped() -> None:
    found = files("n")
    assert len(found) == 188
    for path in found:
        assert not both(wrapped(path.read_bytes())), path.name


@suite
@pytest.mark.parametrize("prefix", ["y", "n", "i"])
def test_a_raw_document_is_accepted_only_when_it_is_an_object(prefix: str) -> None:
    for path in files(prefix):
        data = path.read_bytes()
        if prefix == "y":
            is_object = isinstance(json.loads(data), dict)
            assert both(data) == is_object, path.name
            if not is_object:
                assert reject_reason(data) is Reason.NOT_OBJECT
        elif prefix == "n":
            assert not both(data), path.name
        else:
            both(data)


# RFC 8259 leaves these to the parser. Accepted: numbers that underflow to zero and integers of any
# size (a schema conflict later, never a changed value). Rejected: everything else.
_LEFT_OPEN_ACCEPTED = {
    "i_number_double_huge_neg_exp.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
}


@suite
def test_what_the_standard_leaves_open_is_decided() -> None:
    found = files("i")
    assert len(found) == 35
    accepted = {p.name for p in found if both(wrapped(p.read_bytes()))}
    assert accepted == _LEFT_OPEN_ACCEPTED


_UNSOUND: dict[bytes, Reason] = {
    b'{"a":1}{"a":2}': Reason.NOT_JSON,
    b'{"a":1} x': Reason.NOT_JSON,
    b"{'a':1}": Reason.NOT_JSON,
    b'{"a":"\xff"}': Reason.NOT_UTF8,
    b'{"a":"\xed\xa0\x80"}': Reason.NOT_UTF8,
    b'{"a":"\xc0\xaf"}': Reason.NOT_UTF8,
    b'{"a":NaN}': Reason.NOT_JSON,
    b'{"a":Infinity}': Reason.NOT_JSON,
    b'{"a":-Infinity}': Reason.NOT_JSON,
    b'{"a":1e400}': Reason.NUMBER_RANGE,
    b'{"a":-1e400}': Reason.NUMBER_RANGE,
    b"\xef\xbb\xbf{}": Reason.NOT_JSON,
    b"": Reason.EMPTY,
    b"   ": Reason.NOT_JSON,
    b'{"a":"\x00"}': Reason.NOT_JSON,
    b'{"a":"x\ny"}': Reason.NOT_JSON,
    b'{"a":01}': Reason.NOT_JSON,
    b'{"a":1,}': Reason.NOT_JSON,
    b'{"a":[1,]}': Reason.NOT_JSON,
    b'{"a":': Reason.NOT_JSON,
    b'{"a":1': Reason.NOT_JSON,
    b'{"a":"x': Reason.NOT_JSON,
    b'{"a":1}\x00': Reason.NOT_JSON,
    b"{}\x00{}": Reason.NOT_JSON,
    b'{"a" 1}': Reason.NOT_JSON,
    b"{a:1}": Reason.NOT_JSON,
    b'{"a":.5}': Reason.NOT_JSON,
    b'{"a":+1}': Reason.NOT_JSON,
    b'{"a":0x10}': Reason.NOT_JSON,
    b'{"a":1}//': Reason.NOT_JSON,
    b'{"a":/**/1}': Reason.NOT_JSON,
    b"[1]": Reason.NOT_OBJECT,
    b'"text"': Reason.NOT_OBJECT,
    b"5": Reason.NOT_OBJECT,
    b"null": Reason.NOT_OBJECT,
    b"true": Reason.NOT_OBJECT,
    b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}": Reason.TOO_DEEP,
    b'{"a":' * 2000 + b"1" + b"}" * 2000: Reason.TOO_DEEP,
    b'{"a":"' + b"x" * MAX_VALUE_BYTES + b'"}': Reason.TOO_LARGE,
}


@pytest.mark.parametrize("value", _UNSOUND, ids=lambda v: repr(v[:24]))
def test_unsound_values_have_their_reason(value: bytes) -> None:
    assert not both(value)
    assert reject_reason(value) is _UNSOUND[value]


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b' \t\r\n{"a":1}\r\n',
        b'{"a":1,"a":2}',
        b'{"A":1,"a":2}',
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":123456789012345678901234567890.5}',
        b'{"a":"\\u0000"}',
        b'{"":""}',
        '{"ключ":"🙂"}'.encode(),
        b'{"a":"' + b"x" * 1_000_000 + b'"}',
        b'{"a":"' + b"[{" * 5_000 + b'"}',
    ],
    ids=lambda v: repr(v[:24]),
)
def test_sound_values(value: bytes) -> None:
    assert both(value)


def test_depth_limit_is_exact() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)

    assert both(nested(MAX_DEPTH))
    assert not both(nested(MAX_DEPTH + 1))
    arrays = MAX_DEPTH - 1
    assert both(b'{"a":' + b"[" * arrays + b"]" * arrays + b"}")
    assert not both(b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")


def test_depth_is_that_of_the_bytes_not_of_what_a_parser_keeps() -> None:
    """Of a key that comes twice parsers keep the last value; Spark's still walks the first."""
    hidden = b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b',"a":1}'
    assert not both(hidden)
    assert reject_reason(hidden) is Reason.TOO_DEEP
    assert both(b'{"a":"' + b"[" * 500 + b'\\"[","b":"]"}')


def test_size_limit_is_exact() -> None:
    room = MAX_VALUE_BYTES - len(b'{"a":""}')
    assert both(b'{"a":"' + b"x" * room + b'"}')
    assert not both(b'{"a":"' + b"x" * (room + 1) + b'"}')


def test_ten_thousand_fields() -> None:
    assert both(json.dumps({f"f{n}": n for n in range(10_000)}).encode())


_SEEDS = [
    b'{"id":1,"name":"x","at":1.5e3,"o":{"a":[1,2,{"b":null}]},"t":true,"u":"\\u00e9\\ud83d\\ude00"}',
    '{"ключ":"значение 🙂","n":-0.0,"e":""}'.encode(),
    b'{"a":[[[[]]]],"b":{},"c":12345678901234567890,"d":9007199254740993}',
]
_SPICE = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\x00", b"\n", b"\xff", b"\xed\xa0\x80",
          b"0", b"1e999", b"NaN", b"null", b"\xef\xbb\xbf", b"\\u12", b"\\ud800", b" ",
          b"//", b"'"]  # fmt: skip


def test_both_paths_agree_on_mutated_documents() -> None:
    chance = random.Random(20_260_101)  # noqa: S311 - the same every time
    accepted = 0
    for _ in range(25_000):
        data = bytearray(chance.choice(_SEEDS))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data) + 1)
            cut = chance.randint(0, 3)
            data[at : at + cut] = chance.choice((b"", *_SPICE))
        accepted += both(bytes(data))
    assert 1_000 < accepted < 24_000


_JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@examples(400)
@given(value=st.dictionaries(st.text(), _JSON, max_size=5), indent=st.sampled_from([None, 1]))
def test_line_gives_back_what_was_sent(value: dict[str, Any], indent: int | None) -> None:
    try:
        data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate has no bytes
        return
    line, rejected = Classifier().line(b'{"partition":0,"offset":7', b"k", None, data)
    assert not rejected
    assert json.loads(single_line([line])) == {
        "partition": 0, "offset": 7, "key": "k", "value": json.loads(data),
    }  # fmt: skip


@examples(400)
@given(value=st.binary(max_size=60), key=st.binary(max_size=10) | st.none())
def test_any_bytes_come_back(value: bytes, key: bytes | None) -> None:
    line, rejected = Classifier().line(b'{"partition":0,"offset":7', key, None, value)
    assert single_line([line, line]).count(b"\n") == 2
    back = json.loads(line)
    assert rejected == ("value_bytes" in back)
    if rejected:
        assert base64.b64decode(back["value_bytes"]) == value
        assert back["reason"] == reject_reason(value)
    else:
        assert back["value"] == json.loads(value)
    held = base64.b64decode(back["key_bytes"]) if "key_bytes" in back else back["key"]
    assert held == key if isinstance(held, bytes | None) else held.encode() == key


_FORGED = [
    b'{"a":1},"offset":99,"x":{"b":2}',
    b'{"a":1}\n{"partition":0,"offset":99,"value":{}}',
    b'{"a":1},"tombstone":true',
    b'null,"tombstone":true',
    b'1,"value":{"a":1}',
    b'{"a":1}}',
    b'{"a":"x"},"value":{"a":"y"',
    b'{"a":1},"reason":"x","y":{}',
]


@pytest.mark.parametrize("value", _FORGED)
def test_a_crafted_value_cannot_forge_the_envelope(value: bytes) -> None:
    line, rejected = Classifier().line(b'{"partition":0,"offset":7', None, None, value)
    assert rejected
    back = json.loads(line)
    assert back["offset"] == 7
    assert "value" not in back
    assert "tombstone" not in back
    assert base64.b64decode(back["value_bytes"]) == value


@pytest.mark.parametrize("key", [b'","offset":99,"x":"', b'k"}\n{"offset":99}', b"\\", b'"'])
def test_a_crafted_key_or_header_cannot_either(key: bytes) -> None:
    headers = [(key.decode(), key), ("h", None), ("bin", b"\xff")]
    line, _ = Classifier().line(b'{"partition":0,"offset":7', key, headers, b"{}")
    back = json.loads(line)
    assert line.count(b"\n") == 1
    assert (back["offset"], back["key"], back["value"]) == (7, key.decode(), {})
    assert back["headers"] == [
        [key.decode(), key.decode()],
        ["h", None],
        ["bin", {"bytes": "/w=="}],
    ]


def test_members_named_like_the_envelope_stay_inside_the_value() -> None:
    value = b'{"offset":99,"tombstone":true,"reason":"x","value_bytes":"","partition":5}'
    line, _ = Classifier().line(b'{"partition":0,"offset":7', None, None, value)
    back = json.loads(line)
    assert set(back) == {"partition", "offset", "key", "value"}
    assert back["value"] == json.loads(value)


def test_tombstone_differs_from_json_null() -> None:
    head = b'{"partition":0,"offset":7'
    tombstone, rejected = Classifier().line(head, b"k", None, None)
    assert (json.loads(tombstone)["tombstone"], rejected) == (True, False)
    null, rejected = Classifier().line(head, b"k", None, b"null")
    assert rejected
    assert "tombstone" not in json.loads(null)


def test_value_bytes_are_the_sent_ones() -> None:
    value = b'{ "b" : 1.10 ,"a":1.0e2, "a":"\\u0041" }'
    line, _ = Classifier().line(b'{"partition":0,"offset":7', None, None, value)
    assert value in line


def test_newlines_between_tokens_become_spaces_and_only_those() -> None:
    values = [b'{\n"a":\r\n"x\\n"}', b'{"b":1}']
    lines = [Classifier().line(b'{"partition":0', None, None, v)[0] for v in values]
    joined = single_line(lines)
    assert joined.count(b"\n") == 2
    assert b"\r" not in joined
    assert [json.loads(x)["value"] for x in joined.splitlines()] == [{"a": "x\n"}, {"b": 1}]

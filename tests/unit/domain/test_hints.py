"""Hints of a definition: the syntax of paths, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Path, parse_path, shown
from lake_platform.domain.schema import (
    Array,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
)
from lake_platform.domain.schema_json import struct_from_json, to_json
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import dataset_to_dict, parse_dataset

PATHS: dict[str, Path] = {
    "a": ("a",),
    "a.b": ("a", "b"),
    "a[]": ("a", None),
    "a[][].b": ("a", None, None, "b"),
    'a."x.y"[].id': ("a", "x.y", None, "id"),
    'reactions."+1"': ("reactions", "+1"),
    '""."\\"[]\\ud800"': ("", '"[]\ud800'),
    "1.2": ("1", "2"),
}


@pytest.mark.parametrize("text", PATHS)
def test_paths(text: str) -> None:
    assert parse_path(text) == PATHS[text]
    assert shown(PATHS[text]) == text


@given(st.tuples(st.text()), st.lists(st.none() | st.text()))
def test_every_path_is_read_as_it_is_shown(first: tuple[str], rest: list[str | None]) -> None:
    path = (*first, *rest)
    assert parse_path(shown(path)) == path


def test_a_plain_key_may_be_quoted() -> None:
    assert parse_path('"a"."b"[]') == ("a", "b", None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        (".a", "at character 1 ('.a') a key must come"),
        ("[].a", "at character 1 ('[].a') a key must come"),
        ("a.", "at character 3 a key must come"),
        ("a..b", "at character 3 ('.b') a key must come"),
        ("a[0]", "at character 2 ('[0]') a . or [] must come"),
        ("a[]b", "at character 4 ('b') a . or [] must come"),
        ("a.x-y.c", 'the key at character 3 has other characters than letters, digits and _: write '
         'it as "x-y"'),
        ('a."b', "the quotes from character 3 on are no JSON text"),
        ('"a"b', "at character 4 ('b') a . or [] must come"),
    ],
)  # fmt: skip
def test_no_paths(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_path(text)
    assert str(caught.value) == why


def _dataset(columns: Any) -> Dataset:
    return Dataset(topic="t", table="t", columns=columns)


SOUND: dict[str, dict[str, Any]] = {
    'reactions."+1"': {"name": "thumbs_up"},
    "labels": {"type": "map", "values": "string"},
    "requestParameters": {"type": "json"},
    "resources[].tags": {"drop": True},
    "eventTime": {"type": "timestamp", "format": "iso"},
    "days": {"type": "array", "values": "date", "format": "s"},
    "requestId": {"aliases": ["requestID", "requestid", ""]},
    "price": {"type": "decimal(12,2)", "name": "amount", "aliases": ["cost"]},
    "m": {"type": "map"},
    "m[]": {"type": "array"},
    "m[][]": {"type": "long"},
}


def test_sound_ones_are_kept_as_they_are() -> None:
    dataset = _dataset(SOUND)
    assert dataset.columns == SOUND
    assert dataset_to_dict(dataset)["columns"] == SOUND
    assert parse_dataset(dataset_to_dict(dataset)) == dataset
    said = {shown(path): hint.says for path, hint in dataset.hints.paths()}
    assert said == {
        'reactions."+1"': "named thumbs_up", "labels": "map by hint", "labels[]": "string by hint",
        "requestParameters": "json by hint", "resources[].tags": "dropped by hint",
        "eventTime": "timestamp by hint", "days": "array by hint",
        "days[]": "date by hint, from s since 1970",
        "requestId": "means requestID, requestid,  too",
        "price": "named amount; decimal(12,2) by hint; means cost too",
        "m": "map by hint", "m[]": "array by hint", "m[][]": "long by hint",
    }  # fmt: skip


def test_a_path_has_one_form() -> None:
    assert _dataset({'"a"."b"': {"drop": True}}) == _dataset({"a.b": {"drop": True}})
    assert _dataset({"a": {"aliases": ("b",)}}) == _dataset({"a": {"aliases": ["b"]}})


BAD: list[tuple[Any, str]] = [
    ([], "columns=[]: not a mapping; give path: {hint: value}"),
    ({"a[": {"drop": True}}, "columns='a[': not a path: at character 2 ('[') a . or [] must come; "
     'write it as in a."x-y".items[].id'),
    ({5: {"drop": True}}, "columns=5: not a path; give it as text"),
    ({"a": {"drop": True}, '"a"': {"drop": True}},
     "columns='\"a\"': a second hint for a; give one with all options"),
    ({"a": {}}, "columns.a={}: says nothing; give some of name, type, "),
    ({"a": "string"}, "columns.a='string': says nothing"),
    ({"a": {"kind": "x"}}, "columns.a.kind='x': unknown; known are name, type, "),
    ({"a": {"drop": False}}, "columns.a.drop=False: not `true` alone; give drop: true, and no "),
    ({"a": {"drop": True, "name": "b"}}, "columns.a.drop=True: not `true` alone"),
    ({"a": {"type": "text"}}, "columns.a.type='text': no type; give one of boolean, int, "),
    ({"a": {"type": ["map"]}}, "columns.a.type=['map']: no type"),
    ({"a": {"type": "decimal(39,2)"}}, "columns.a.type='decimal(39,2)': no type"),
    ({"a": {"type": "decimal(0,0)"}}, "columns.a.type='decimal(0,0)': no type"),
    ({"a": {"type": "dropped"}}, "columns.a.type='dropped': no type"),
    ({"a": {"values": "long"}}, "columns.a.values='long': no map or array; give type: map or "),
    ({"a": {"type": "map", "values": "map"}}, "columns.a.values='map': no type"),
    ({"a": {"type": "timestamp", "format": "h"}},
     "columns.a.format='h': unknown; give iso, s, ms, us, ns"),
    ({"a": {"format": "s"}}, "columns.a.format='s': no date or timestamp; give such a type"),
    ({"a": {"type": "long", "format": "s"}}, "columns.a.format='s': no date or timestamp"),
    ({"a": {"aliases": []}}, "columns.a.aliases=[]: not a list of different keys; give [key, …]"),
    ({"a": {"aliases": "b"}}, "columns.a.aliases='b': not a list of different keys"),
    ({"a": {"aliases": None}}, "columns.a.aliases=None: not a list of different keys"),
    ({"a": {"aliases": ["b", "b"]}}, "columns.a.aliases=['b', 'b']: not a list of different "),
    ({"a": {"aliases": ["a"]}}, "columns.a.aliases=['a']: its own key is among them; leave that"),
    ({"a": {"aliases": ["b"]}, "b": {"type": "json"}},
     "columns.a.aliases='b': there is another hint for it, of b; leave out one"),
    ({"a": {"aliases": ["c"]}, "b": {"aliases": ["c"]}},
     "columns.b.aliases='c': there is another hint for it, of a; leave out one"),
    ({"a": {"name": ""}}, "columns.a.name='': not usable as a name; give letters, digits and _, "),
    ({"a": {"name": "a-b"}}, "columns.a.name='a-b': not usable as a name"),
    ({"a": {"name": 5}}, "columns.a.name=5: not usable as a name"),
    ({"a": {"name": "x" * 121}}, "not usable as a name"),
    ({"a": {"name": "_rescued"}}, "columns.a.name='_rescued': a name of ours"),
    ({"a": {"name": "_Kafka_x"}}, "columns.a.name='_Kafka_x': a name of ours"),
    ({"s.a": {"name": "x"}, "s.b": {"name": "X"}},
     "columns.s.b.name='X': s.a has it (case does not count); give another name"),
    ({"a[]": {"name": "x"}},
     "columns.a[].name='x': elements and values have no key of their own; give it for what they "),
    ({"a[]": {"drop": True}}, "columns.a[].drop=True: elements and values have no key"),
    ({"a": {"type": "long"}, "a.b": {"type": "long"}},
     "columns='a.b': can never be: a is long by its hint, and nothing is below it; leave out one"),
    ({"a.b.c": {"name": "x"}, "a": {"type": "json"}}, "columns='a.b': can never be: a is json by"),
    ({"a[]": {"type": "long"}, "a": {"type": "string"}}, "columns='a[]': can never be: a is "),
    ({"a": {"drop": True}, "a.b": {"type": "long"}},
     "columns='a.b': can never be: a is dropped by its hint, and nothing is below it"),
    ({"a": {"type": "map"}, "a.b": {"type": "long"}},
     "columns='a.b': can never be: a is a map by its hint; what it holds is a[]"),
    ({"a.b": {"type": "long"}, "a[].c": {"type": "long"}},
     "columns='a[]': can never be: a.b makes a an object with names, a[] a map or array"),
    ({"a": {"type": "map", "values": "long"}, "a[]": {"type": "string"}},
     "columns.a[].type='string': its type is said by `values` of the other; leave out one"),
    ({"a[]": {"type": "string"}, "a": {"type": "map", "values": "long"}},
     "columns.a.values='long': there is a hint for a[]; leave out one"),
    ({"a": {"type": "map", "values": "long"}, "a[].b": {"type": "string"}},
     "columns='a[].b': can never be: a[] is long by its hint"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "sentence"), BAD, ids=lambda v: str(v)[:50])
def test_what_cannot_be_is_refused_in_one_sentence(columns: Any, sentence: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        _dataset(columns)
    assert sentence in str(caught.value)


def test_one_name_in_two_structs_and_names_of_ours_inside() -> None:
    _dataset({"a.x": {"name": "n"}, "b.x": {"name": "n"}, "b.y": {"name": "_rescued"}})


def test_the_form_of_timestamps_is_kept_with_the_schema() -> None:
    kinds: list[Type] = [
        Scalar("timestamp", "ms"),
        Array(Map(Scalar("date", "s"))),
        Scalar("timestamp"),
    ]
    source = Struct((Field("s", Struct(tuple(Field(f"f{i}", k) for i, k in enumerate(kinds)))),))
    assert struct_from_json(to_json(source)) == source

"""The profile itself: counts, bounds, examples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake_platform.domain.data_keys import looks_like_data
from lake_platform.domain.dataset import Dataset
from lake_platform.sight import profile as profiles
from lake_platform.sight.map_keys import KeySample
from lake_platform.sight.profile import MAX_PATHS, Profile
from lake_platform.sight.seen import MAX_KEYS, Seen
from lake_platform.sight.settle import settle


def profiled(*records: str) -> Profile:
    profile = Profile()
    for number, record in enumerate(records):
        profile.add(record.encode(), f"0:{number}")
    return profile


def seen(*values: str) -> Seen:
    return profiled(*(f'{{"a":{v}}}' for v in values)).root.children["a"]


def counts(node: Seen, *names: str) -> list[Any]:
    return [getattr(node, name) for name in names]


def test_kinds_are_counted() -> None:
    node = seen("null", "true", "false", '"x"', "1", "1.5", "2.0", "{}", "[]", '{"k":1}', "[1,2]")
    assert counts(node, "nulls", "booleans", "strings", "integers", "fractions", "wholes") == [
        1, 2, 1, 1, 1, 1,
    ]  # fmt: skip
    assert counts(node, "empty_objects", "empty_arrays", "objects", "arrays") == [1, 1, 1, 1]
    assert counts(node, "count", "values", "scalars", "numbers") == [11, 10, 6, 3]
    assert node.children["k"].integers == 1
    assert node.element is not None
    assert node.element.integers == 2


def test_numbers_are_exact() -> None:
    node = seen("5", "-7", "9" * 30)
    assert counts(node, "low", "high", "beyond") == [-7, int("9" * 30), 1]
    node = seen("5.0", "1e20", "-3.00")
    assert counts(node, "whole_low", "whole_high", "inexact", "fractions") == [-3, 10**20, 0, 0]
    node = seen("-12.50", "0.125", "1234.5e-5")
    assert counts(node, "before", "after", "inexact") == [2, 6, 0]


@pytest.mark.parametrize(
    ("text", "inexact"),
    [
        ("0.12345678901234567", 0),
        ("0.123456789012345678", 1),
        ("0.50000000000000000000", 0),
        ("123456789012345678901.5", 1),
        ("0.5000000000000000000000001", 1),
        ("4.9e-324", 0),
        ("1e-320", 0),
        ("1e-400", 1),
        ("1e-99999999999999999999", 1),
        ("0e99999999999999999999", 0),
        ("0.0e999999999", 0),
    ],
)
def test_what_a_double_stands_for(text: str, inexact: int) -> None:
    assert seen(text).inexact == inexact


def test_last_of_a_doubled_key_counts() -> None:
    node = profiled('{"a":1,"a":"x"}').root.children["a"]
    assert counts(node, "count", "strings") == [1, 1]


def test_record_with_a_number_too_long_is_skipped_whole() -> None:
    profile = profiled('{"b":1,"a":0.' + "1" * 1_000 + "}", '{"c":1}')
    assert (profile.records, profile.skipped, list(profile.root.children)) == (1, 1, ["c"])
    assert profiled('{"a":0.' + "1" * 998 + "}").records == 1


def test_twins_count_objects_that_have_both() -> None:
    profile = profiled('{"id":1}', '{"Id":1}', '{"id":1,"ID":1}', '{"id":1,"ID":1,"Id":1,"x":1}')
    assert profile.root.twins == {"id": 2}
    other = profiled('{"iD":1,"ID":1}')
    other.merge(profile)
    assert other.root.twins == {"id": 3}


def test_examples_are_the_first_of_a_kind_and_cut() -> None:
    node = seen("null", '"é\\n"', '{"k":[1,2.50,null]}', '"y"')
    assert node.examples == {
        "text": ('"é\\n"', "0:1"),
        "object": ('{"k": [1, 2.50, null]}', "0:2"),
    }
    assert node.example == '"é\\n"'
    assert len(seen(json.dumps("x" * 1_000_000)).example) == 60
    assert seen("null").example == "null"
    assert seen('"\\ud800"').example.encode()


def test_merging_changes_and_shares_nothing_of_the_other() -> None:
    first, second = profiled('{"a":{"b":1}}'), profiled('{"a":{"b":"x"}}', '{"c":[1]}')
    before = second.to_json()
    first.merge(second)
    first.add(b'{"a":{"b":null},"c":[true]}')
    assert second.to_json() == before
    assert (first.records, first.root.children["a"].children["b"].count) == (4, 3)


def test_deep_record_survives_storage() -> None:
    record = '{"a":' * 50 + "[" * 50 + "1" + "]" * 50 + "}" * 50
    profile = profiled(record)
    profile.merge(profiled(record))
    text = json.dumps(profile.to_json())
    assert json.dumps(Profile.from_json(json.loads(text)).to_json()) == text


def test_keys_beyond_the_bound_are_one_child() -> None:
    profile = profiled(*(f'{{"m":{{"k{n}":{n}}}}}' for n in range(MAX_KEYS + 500)))
    node = profile.root.children["m"]
    assert len(node.children) == MAX_KEYS
    assert node.others is not None
    assert counts(node.others, "count", "high") == [500, MAX_KEYS + 499]
    assert node.distinct_keys() == pytest.approx(MAX_KEYS + 500, rel=0.15)


def test_folded_objects_merge_in_any_order() -> None:
    topic = [f'{{"m":{{"{n:06}":{{"v":{n % 7}.5}}}}}}' for n in range(5_000)]
    parts = [profiled(*topic[start : start + 1_000]) for start in range(0, 5_000, 1_000)]
    dataset = Dataset(topic="t", table="t")
    found = []
    for order in (parts, parts[::-1], [parts[2], parts[0], parts[4], parts[1], parts[3]]):
        merged = Profile()
        for part in order:
            merged.merge(part)
        found.append(settle(merged, dataset))
    assert {str(f.struct) for f in found} == {"struct<m:map<string,struct<v:double>>>"}
    assert len({f.mapped[0].keys for f in found}) == 1


def test_many_paths_make_maps_of_the_widest_objects() -> None:
    wide = "{" + ",".join(f'"f{n}":1' for n in range(30)) + "}"
    profile = Profile()
    for n in range(2_000):
        profile.add(f'{{"m":{{"{n:06}":{wide}}}}}'.encode())
        if n % 200 == 0:
            assert sum(1 for _ in profile.root.walk()) <= MAX_PATHS + 31
    profile.add(b'{"late":1}')
    found = settle(profile, Dataset(topic="t", table="t")).struct
    assert str(found.fields[0].type).startswith("map<string,struct<f0:long,f1:long,")
    assert found.fields[1].name == "late"


def test_paths_are_bounded_where_no_object_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MAX_PATHS", 500)
    profile = Profile()
    for n in range(100):
        inner = ",".join(f'"k{m}":{{"l":{{"m":1}}}}' for m in range(40))
        profile.add(f'{{"o{n}":{{{inner}}},"x":1}}'.encode())
    assert sum(1 for _ in profile.root.walk()) <= 2 * 500
    assert profile.root.lost
    kinds = {
        f.name: str(f.type) for f in settle(profile, Dataset(topic="t", table="t")).struct.fields
    }
    assert kinds["x"] == "long"


def test_keys_that_look_like_data() -> None:
    data = [
        "10.0.0.1", "10.0.0.1:80", "10.0.0.0/8", "fe80::1", "2001:db8:0:1:1:1:1:1", "12345",
        "2026-11", "20261101", "2026-11-01T10:00:00Z", "c0ffee00", "a" * 39 + "1", "s3://b/k",
        "https://x.y", "a@b.de", "arn:aws:iam::1:user/x", "00000000-0000-4000-8000-000000000000",
        "1" * 100_000, "http://" + "x" * 100_000,
    ]  # fmt: skip
    assert [k for k in data if not looks_like_data(k)] == []
    names = [
        "", "id", "1", "200", "5Min", "a:b", "key:", "deadbeef", "x-amz-id-2", "a@b", "a.b.c.d",
        "1.2.3", "name@", "arn", "\x00", "ключ", "a@" + "x" * 100_000,
    ]  # fmt: skip
    assert [k for k in names if looks_like_data(k)] == []


def test_sample_of_keys_does_not_depend_on_order() -> None:
    one, two, both = KeySample(), KeySample(), KeySample()
    for n in range(5_000):
        (one if n % 3 else two).add(f"k{n}")
    for n in reversed(range(5_000)):
        both.add(f"k{n}")
    one.merge(two)
    assert one.kept == both.kept
    assert both.distinct() == pytest.approx(5_000, rel=0.15)
    assert both.data_share() == 0

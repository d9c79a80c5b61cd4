"""What holds for the first schema of any records whatever."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.names import MAX_CHARS
from lake_platform.domain.schema import Array, Map, Struct, Type, fields, why_unstorable
from lake_platform.records.conform import LongNumberError
from lake_platform.records.envelope import reject_reason
from lake_platform.sight import profile as profiles
from lake_platform.sight import seen
from lake_platform.sight.profile import Profile
from lake_platform.sight.settle import Settled, settle
from tests.corpora import JSON_SUITE, TOPICS
from tests.fitting import misfits, parse
from tests.properties import examples

KEYS = (
    "a", "A", "b", "B", "c", "a.b", "a_b", "", "+1", "_raw", "\x00", "ключ", "10.0.0.1", "10.0.0.2",
    "10.0.0.3", "2026-11-01",
)  # fmt: skip
NUMBERS = (
    "0", "1", "-5", "5.0", "1e3", "-0.0", "1.5", "0.1", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "1" * 25, "-" + "9" * 38, "1" * 39, "0.1234567890123456789", "1e300",
    "1e-30", "1e-400", "12345678901234567890.5", "4.9e-324", "123456789012345678.0",
)  # fmt: skip
leaves = st.one_of(
    st.sampled_from(["null", "null", "true", "false", '"x"', '""', "[]", "{}"]),
    st.sampled_from(NUMBERS),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


def objects(values: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    def text(items: dict[str, str]) -> str:
        return "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in items.items()) + "}"

    return st.dictionaries(st.sampled_from(KEYS), values, max_size=most).map(text)


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=4).map(lambda items: f"[{','.join(items)}]")


some = examples(50)
values = st.recursive(leaves, lambda v: st.one_of(objects(v, 4), arrays(v)), max_leaves=8)
records = objects(values, 5)
# Some come very often, so that others are rare.
topics = st.tuples(st.lists(records, min_size=1, max_size=8), st.sampled_from([1, 150])).map(
    lambda drawn: [r.encode() for r in (*drawn[0], *drawn[0][:1] * (drawn[1] - 1))]
)
options = st.fixed_dictionaries(
    {},
    optional={
        "names": st.sampled_from(["keep", "lower"]),
        "case_twins": st.sampled_from(["merge", "split"]),
        "maps": st.sampled_from(["auto", "off"]),
        "mixed_scalars": st.sampled_from(["string", "json"]),
        "single_or_array": st.sampled_from(["wrap", "json"]),
        "max_columns": st.integers(1, 10),
        "max_depth": st.integers(1, 4),
        "partition_by": st.sampled_from([("a",), ("a.b",), ("b.c",)]),
    },
)


def profiled(topic: list[bytes]) -> Profile:
    profile = Profile()
    for value in topic:
        profile.add(value)
    return profile


def dataset(**given: Any) -> Dataset:
    return Dataset(topic="t", table="t", **given)


def unordered(kind: Type) -> object:
    if isinstance(kind, Struct):
        return {f.name: (f.key, sorted(f.aliases), f.rescue, unordered(f.type))
                for f in kind.fields}  # fmt: skip
    if isinstance(kind, Array | Map):
        inner = kind.element if isinstance(kind, Array) else kind.value
        return type(kind).__name__, unordered(inner)
    return str(kind)


def lines(found: Settled) -> set[object]:
    return {(m.path, m.column, m.rules, m.share, m.keys) for m in found.mapped}


@some
@given(topics, options)
def test_every_record_fits(topic: list[bytes], given: dict[str, Any]) -> None:
    found = settle(profiled(topic), dataset(**given))
    assert [m for value in topic for m in misfits(parse(value), found.struct)] == []
    assert why_unstorable(found.struct) == ""


@some
@given(topics)
def test_only_the_rare_is_rescued(topic: list[bytes]) -> None:
    found = settle(profiled(topic), dataset())
    # A spelling without a value yet may say anything.
    assume(not any(f.rescue and f.aliases for _, f in fields(found.struct)))
    strict = _without_rescue(found.struct)
    bad = sum(bool(misfits(parse(value), strict)) for value in topic)
    assert bad <= len(topic) * 0.01 * len(list(fields(found.struct)))


def _without_rescue(struct: Struct) -> Struct:
    return Struct(tuple(
        replace(f, rescue=False,
                type=_without_rescue(f.type) if isinstance(f.type, Struct) else f.type)
        for f in struct.fields
    ))  # fmt: skip


@some
@given(topics, options, st.randoms(), st.integers(0, 8))
def test_the_order_of_records_means_nothing(
    topic: list[bytes], given: dict[str, Any], dice: random.Random, cut: int
) -> None:
    first = settle(profiled(topic), dataset(**given))
    shuffled = list(topic)
    dice.shuffle(shuffled)
    merged = profiled(shuffled[cut:])
    merged.merge(profiled(shuffled[:cut]))
    for profile in (profiled(shuffled), merged):
        again = settle(profile, dataset(**given))
        assert unordered(again.struct) == unordered(first.struct)
        assert lines(again) == lines(first)


@some
@given(topics, options)
def test_a_profile_survives_storage(topic: list[bytes], given: dict[str, Any]) -> None:
    profile = profiled(topic)
    text = json.dumps(profile.to_json())
    restored = Profile.from_json(json.loads(text))
    assert json.dumps(restored.to_json()) == text
    assert settle(restored, dataset(**given)) == settle(profile, dataset(**given))


@some
@given(topics, options)
def test_the_mapping_tells_of_every_column_and_parents_first(
    topic: list[bytes], given: dict[str, Any]
) -> None:
    found = settle(profiled(topic), dataset(**given))
    paths = [m.path for m in found.mapped]
    assert len(set(paths)) == len(paths)
    assert all(p[:-1] in paths[:n] for n, p in enumerate(paths) if p[:-1])
    assert all(m.share and m.share <= 1 for m in found.mapped)
    told = {m.column: m for m in found.mapped if "alias" not in m.rules}
    for path, field in fields(found.struct):
        assert told[path].type == str(field.type)
        assert ("rescue" in told[path].rules) == field.rescue
        assert ("renamed" in told[path].rules) == (field.key is not None)
    aliases = sum(len(f.aliases) for _, f in fields(found.struct))
    assert aliases == sum("alias" in m.rules for m in found.mapped)


@some
@given(topics, options)
def test_names_are_good_and_differ(topic: list[bytes], given: dict[str, Any]) -> None:
    def check(struct: Struct) -> None:
        names = [f.name.lower() for f in struct.fields]
        assert len(set(names)) == len(names)
        assert all(n.isidentifier() and n.isascii() and len(n) <= MAX_CHARS for n in names)
        for field in struct.fields:
            inner = field.type
            while isinstance(inner, Array | Map):
                inner = inner.element if isinstance(inner, Array) else inner.value
            if isinstance(inner, Struct):
                check(inner)

    check(settle(profiled(topic), dataset(**given)).struct)


@some
@given(topics, options, st.integers(1, 12))
def test_a_small_profile_loses_no_record(
    topic: list[bytes], given: dict[str, Any], most: int
) -> None:
    """With limits so small that keys are folded and paths not looked at. What is not in a column
    is rescued: of the record itself, and of objects that hold a named column."""
    given = {name: value for name, value in given.items() if name != "partition_by"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "MAX_KEYS", 3)
        patch.setattr(profiles, "MAX_PATHS", most)
        patch.setattr(profiles, "_FEW_KEYS", 1)
        profile = profiled(topic[: len(topic) // 2])
        profile.merge(profiled(topic[len(topic) // 2 :]))
        profile = Profile.from_json(profile.to_json())
        found = settle(profile, dataset(**given))
    wide = profile.root.others is not None or profile.root.lost
    for value in topic:
        record = parse(value)
        known = {k: v for k, v in record.items() if found.struct.of_key(k) or not wide}
        assert misfits(known, found.struct) == []


@pytest.mark.parametrize("path", sorted(TOPICS.glob("*.json")), ids=lambda p: p.stem)
def test_real_topics_fit(path: Path) -> None:
    topic = path.read_bytes().splitlines()
    found = settle(profiled(topic), dataset())
    assert [m for value in topic for m in misfits(parse(value), found.struct)] == []
    assert {rule for m in found.mapped for rule in m.rules} <= {"pending"}


def test_documents_of_the_json_suite_fit() -> None:
    if not JSON_SUITE.is_dir():
        pytest.skip("no JSON test suite")
    texts = (p.read_bytes() for p in sorted(JSON_SUITE.glob("*.json")))
    sound = [t for d in texts for t in (d, b'{"a":' + d + b"}") if reject_reason(t) is None]
    assert len(sound) > 50
    for some in (*([t] for t in sound), sound):
        try:
            found = settle(profiled(some), dataset())
        except LongNumberError:
            pytest.fail("a long number was not skipped")
        assert [m for value in some for m in misfits(parse(value), found.struct)] == []

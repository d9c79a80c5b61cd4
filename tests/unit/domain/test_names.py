"""Names of columns from the keys of records."""

from __future__ import annotations

import hashlib
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.domain.names import MAX_CHARS, assign, column_name, is_ours

NAUGHTY = (
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ufeff", "\u200b", "\u202eabc", "🙂",
    "👩\u200d👧", "é", "e\u0301", "\u0301", "ß", "\ufb01", "½", "①", "+1", "-1", "++", "\uff0b1",
    "@timestamp", "$ref", "#", "%", "*", "1Min", "5Min", "a.b", "a_b", "A_B", "a-b", "a b", "a\tb",
    "a\nb", 'a"b', "a`b", "a\\b", "Id", "ID", "id", "\u0130d", "\u0131d", "\u212aelvin", "kelvin",
    "\u017f", "s", "c", "_", "__", "日本語", "ключ", "_kafka_offset", "_KAFKA_x", "_lake_x", "_RAW",
    "_hoodie_commit_time", "_rescued", "src_raw", "null", "true", "select", "../../etc/passwd",
    "'; DROP TABLE x; --", "${jndi:ldap://x}", "__proto__", "x" * 120, "x" * 121, "a" * 119 + "é",
)  # fmt: skip
HUGE = ("x" * 100_000, "é" * 100_000, "\u0327\u0301" * 50_000, "\x00" * 100_000, "\ufdfa" * 100_000)
GOOD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
keys_of_all_kinds = st.lists(
    st.one_of(
        st.sampled_from(NAUGHTY),
        st.text(st.characters(codec=None), max_size=8),
        st.text("aAbB._-1", max_size=3),
    ),
    max_size=12,
)


def hashed(name: str, key: str, length: int = 6) -> str:
    return f"{name}_{hashlib.sha256(key.encode()).hexdigest()[:length]}"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("+1", "plus_1"),
        ("-1", "minus_1"),
        ("@timestamp", "at_timestamp"),
        ("$ref", "dollar_ref"),
        ("#", "num_"),
        ("%used", "pct_used"),
        ("*", "star_"),
        ("x-amz-id-2", "x_amz_id_2"),
        ("1Min", "_1Min"),
        ("5Min", "_5Min"),
        ("a.b", "a_b"),
        ("a..b ", "a__b_"),
        ("Größe", "Gro_e"),
        ("Café", "Cafe"),
        ("Cafe\u0301", "Cafe"),
        ("", "c"),
        ("\u0301", "c"),
        ("日本", "__"),
        ("\x00", "_"),
        ("eventTime", "eventTime"),
        ("_id", "_id"),
        ("x" * 120, "x" * 120),
        ("x" * 121, hashed("x" * 113, "x" * 121)),
    ],
)
def test_name_of_one_key(key: str, name: str) -> None:
    assert column_name(key) == name


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["a.b", "a_b"], {"a_b": "a_b", "a.b": hashed("a_b", "a.b")}),
        (["a.b", "a-b"], {"a-b": "a_b", "a.b": hashed("a_b", "a.b")}),
        (["id", "Id"], {"Id": "Id", "id": hashed("id", "id")}),
        (["1Min", "5Min"], {"1Min": "_1Min", "5Min": "_5Min"}),
        (["c", ""], {"c": "c", "": hashed("c", "")}),
        ([hashed("a_b", "a.b"), "a.b", "a_b"],
         {"a_b": "a_b", hashed("a_b", "a.b"): hashed("a_b", "a.b"),
          "a.b": hashed("a_b", "a.b", 7)}),
    ],
)  # fmt: skip
def test_keys_of_one_struct(keys: list[str], names: dict[str, str]) -> None:
    assert assign(keys) == names


def test_names_of_the_platform_are_left_to_it() -> None:
    keys = ["_kafka_offset", "_KAFKA_x", "_hoodie_x", "_lake_x", "_rescued", "_Raw", "_rawer"]
    assert assign(keys, reserved=is_ours) == {
        "_kafka_offset": "src_kafka_offset",
        "_KAFKA_x": "src_KAFKA_x",
        "_hoodie_x": "src_hoodie_x",
        "_lake_x": "src_lake_x",
        "_rescued": "src_rescued",
        "_Raw": "src_Raw",
        "_rawer": "_rawer",
    }
    both = assign(["_raw", "src_raw"], reserved=is_ours)
    assert both == {"src_raw": "src_raw", "_raw": hashed("src_raw", "_raw")}
    assert assign(["_raw"]) == {"_raw": "_raw"}


def test_holders_keep_their_names() -> None:
    assert assign(["a.b"], taken=["A_B"]) == {"a.b": hashed("a_b", "a.b")}
    assert assign(["kelvin"], taken=["\u212aelvin"]) == {"kelvin": hashed("kelvin", "kelvin")}
    assert assign(["s"], taken=["\u017f"]) == {"s": hashed("s", "s")}


def test_small_letters_where_asked_for() -> None:
    assert assign(["requestID", "ÀB"], lower=True) == {"requestID": "requestid", "ÀB": "ab"}
    assert assign(["ID", "id"], lower=True) == {"id": "id", "ID": hashed("id", "ID")}


def test_somebody_who_takes_every_hash_does_not_stop_us() -> None:
    taken = ["a_b", *(hashed("a_b", "a.b", n) for n in range(6, 65))]
    name = assign(["a.b"], taken)["a.b"]
    assert name not in taken
    assert name.startswith("a_b_")


@given(keys_of_all_kinds, st.lists(st.sampled_from(NAUGHTY)), st.booleans(), st.randoms())
def test_every_key_has_a_good_name_of_its_own(
    keys: list[str], taken: list[str], lower: bool, dice: random.Random
) -> None:
    names = assign(keys, taken, is_ours, lower)
    assert names.keys() == set(keys)
    assert all(GOOD.fullmatch(n) and len(n) <= MAX_CHARS for n in names.values())
    assert not any(is_ours(n) for n in names.values())
    folded = [n.lower() for n in names.values()]
    assert len(set(folded)) == len(folded)
    assert not set(folded) & {f for t in taken for f in (t.lower(), t.casefold())}
    shuffled = list(keys)
    dice.shuffle(shuffled)
    assert assign(shuffled, taken, is_ours, lower) == names


@given(keys_of_all_kinds)
def test_names_stay_when_they_are_keys_again(keys: list[str]) -> None:
    names = set(assign(keys, reserved=is_ours).values())
    assert assign(names, reserved=is_ours) == {n: n for n in names}
    assert all(column_name(column_name(k)) == column_name(k) for k in keys)


def test_all_naughty_keys_at_once() -> None:
    keys = {*NAUGHTY, *HUGE}
    names = assign(keys, reserved=is_ours)
    assert len({n.lower() for n in names.values()}) == len(keys)
    assert all(len(n) <= MAX_CHARS for n in names.values())

"""Every topic of GitHub's webhooks becomes a table with default settings, by columns that stay."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform import compose
from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Mapped, Rule, shown
from lake_platform.domain.names import MAX_CHARS, assign, is_ours
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import SchemaBlockedError
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.rebuild.resolving import resolved
from tests.audit_support import parquet_lab
from tests.golden.webhooks import GOLDEN, names, there, topics
from tests.properties import examples
from tests.spark_support import spark, table_rows
from tests.support import Lab
from tests.unit.domain.test_names import NAUGHTY
from tests.unit.load.test_decode import check_whole

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.load.results import LoadResult

__all__ = ["spark"]
pytestmark = pytest.mark.skipif(not there(), reason="LAKE_TEST_WEBHOOKS names no examples")
TOPICS = names()
# Deep objects, maps, names with signs, arrays of objects.
ON_HUDI = ("branch_protection_rule", "installation", "issues", "package", "security_advisory")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def told(lab: Lab, result: LoadResult) -> dict[str, Any]:
    """What became of the paths of a topic, where that is not simply a column of the same name."""
    mapped = [m for _, m in lab.metastore.mapping("t")]
    return {
        "renamed": {shown(m.path): m.column for m in mapped if "renamed" in m.rules},
        "merged": _paths(mapped, "alias"),
        "map": {shown(m.path): m.type for m in mapped if "map" in m.rules},
        "json": _paths(mapped, "json"),
        "mixed": {
            shown(m.path): m.type for m in mapped if {"wrap", "text"} & set(m.rules)
        },
        "pending": _paths(mapped, "pending"),
        "rescued": dict(sorted(result.rescued.items())),
    }  # fmt: skip


def _paths(mapped: Sequence[Mapped], rule: Rule) -> list[str]:
    return sorted(shown(m.path) for m in mapped if rule in m.rules)


def first_sight(lab: Lab, topic: str) -> dict[str, Any]:
    lab.send_all(topics()[topic])
    [result] = lab.cycle()
    assert result.applied.balance.written == len(topics()[topic])
    lab.account()
    return told(lab, result)


@pytest.mark.parametrize("topic", TOPICS)
def test_first_sight_as_it_always_was(tmp_path: Path, topic: str) -> None:
    """`LAKE_TEST_GOLDEN=write` makes the file anew, in one process: look at what changes in it."""
    lab = parquet_lab(tmp_path, source=None, partitions=1, max_quarantine_ratio=0.0)
    lab.read_rows = lambda d: parquet_rows(lab, d)
    try:
        found = first_sight(lab, topic)
    finally:
        lab.close()
    held = json.loads(GOLDEN.read_text())
    if os.environ.get("LAKE_TEST_GOLDEN") == "write":
        held[topic] = found
        GOLDEN.write_text(json.dumps(held, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert found == held[topic]


def parquet_rows(lab: Lab, dataset: Dataset) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for info in lab.store.list(f"lake/{dataset.table}/"):
        table = pq.read_table(pa.BufferReader(lab.store.get(info.key)), partitioning=None)
        rows += table.to_pylist(maps_as_pydicts="strict")
    return rows


@pytest.mark.spark
@pytest.mark.deep
@pytest.mark.parametrize("topic", ON_HUDI)
def test_first_sight_on_hudi(lab: Lab, spark: SparkSession, topic: str) -> None:
    lab.store = open_store((lab.home / "storage").as_uri())
    lab.engine = spark_engines(lambda: spark, lab.store)("hudi")
    lab.read_rows = table_rows(spark, lab.store)
    lab.register()
    assert first_sight(lab, topic) == json.loads(GOLDEN.read_text())[topic]


@pytest.mark.parametrize("topic", TOPICS)
def test_in_two_halves_it_loads_or_one_decision_completes_it(lab: Lab, topic: str) -> None:
    records = topics()[topic]
    lab.register()
    half = max(1, len(records) // 2)
    lab.send_all(records[:half])
    lab.cycle()
    lab.send_all(records[half:])
    lab.dump()
    try:
        lab.load()
    except SchemaBlockedError:
        _rescue(lab)
        lab.load()
    assert len(lab.rows()) == len(records)
    lab.account()
    assert lab.metastore.incidents("t", "OPEN") == []


def _rescue(lab: Lab) -> None:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    rebuilder = Rebuilder(lab.metastore, lab.ports(), lab.limits, use_cases.check_on)
    [incident] = lab.metastore.incidents("t", "OPEN")
    resolved(use_cases, rebuilder, incident.id, Asked("rescue"), "test")


_TEXTS = [text for text in NAUGHTY if text.isprintable() or text.isascii()]
_other = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from(_TEXTS),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_TEXTS), inner, max_size=2)
    ),
    max_leaves=4,
)


@examples(60)
@given(st.sampled_from(TOPICS), st.lists(_other, min_size=1, max_size=3), st.randoms())
def test_row_and_rescued_are_the_record(topic: str, others: list[Any], dice: random.Random) -> None:
    """Of records in which here and there something else stands."""
    records = [json.loads(r) for r in dice.sample(topics()[topic], min(6, len(topics()[topic])))]
    for other in others:
        _put(dice.choice(records), other, dice)
    check_whole(records, Dataset(topic="t", table="t"))


def _put(within: Any, other: Any, dice: random.Random) -> None:
    places = list(within) if isinstance(within, Mapping) else list(range(len(within)))
    if not places:
        return
    place = dice.choice(places)
    inner = within[place]
    if isinstance(inner, dict | list) and inner and dice.random() < 0.7:
        _put(inner, other, dice)
    else:
        within[place] = other


def test_keys_of_each_object_get_names_of_their_own() -> None:
    dice = random.Random(1)  # noqa: S311 - an order, not a secret
    records = [json.loads(r) for held in topics().values() for r in held]
    seen = {keys for record in records for keys in _objects(record)}
    assert len(seen) > 400
    for keys in seen:
        for lower in (False, True):
            _check_names([*keys], lower, dice)
            _check_names([*keys, *NAUGHTY], lower, dice)


def _objects(value: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        yield tuple(sorted(value))
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _objects(inner)


def _check_names(keys: list[str], lower: bool, dice: random.Random) -> None:
    given_ = assign(keys, reserved=is_ours, lower=lower)
    assert given_.keys() == set(keys)
    assert len({n.lower() for n in given_.values()}) == len(set(keys))
    assert all(n.isidentifier() and n.isascii() and len(n) <= MAX_CHARS for n in given_.values())
    dice.shuffle(keys)
    assert assign(keys, reserved=is_ours, lower=lower) == given_

"""What registration refuses and warns of, through the use case as API, CLI and code call it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.service import UseCases
from tests.support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def registering(lab: Lab, value: dict[str, Any]) -> UseCases:
    kafka = MemoryKafka()
    kafka.create_topic("t")
    kafka.produce("t", None, json.dumps(value).encode())
    return compose.build_use_cases(lab.metastore, kafka)


@pytest.mark.parametrize("name", ["_lake_key", "_lake_x", "_Lake_y", "_kafka_key", "_rescued"])
def test_names_of_ours_become_others(lab: Lab, name: str) -> None:
    use_cases = registering(lab, {"id": 1, name: 2})
    done = use_cases.register_dataset(Dataset(topic="t", table="t"), "test")
    assert done.schema is not None
    [_, field] = done.schema.source.fields
    assert (field.name, field.key) == (f"src{name}", name)
    assert [m.column for m in done.mapped if m.rules] == [f"src{name}"]


def test_an_older_table_with_such_a_column_can_be_changed(lab: Lab) -> None:
    use_cases = registering(lab, {"id": 1})
    source = Struct((Field("id", Scalar("long")), Field("_lake_x", Scalar("long"))))
    lab.metastore.register(Dataset(topic="t", table="t"), source, "test")
    assert use_cases.change_dataset("t", {"owner": "me"}, 1, "test").version == 2


def test_such_a_column_cannot_be_added(lab: Lab) -> None:
    use_cases = registering(lab, {"id": 1})
    use_cases.register_dataset(Dataset(topic="t", table="t"), "test")
    with pytest.raises(InvalidFieldError, match="_lake_x"):
        use_cases.add_column("t", "_lake_x", "long", "test")


def test_warnings_are_part_of_the_answer(lab: Lab) -> None:
    use_cases = registering(lab, {"id": "A", "ver": "9"})
    dataset = Dataset(
        topic="t", table="t", mode="upsert", primary_key=("id",), ordering_field="ver",
        transforms=(Transform(sql="SELECT lower(id) AS id, ver FROM input"),),
    )  # fmt: skip
    told = use_cases.register_dataset(dataset, "test").warnings
    assert any("tombstones go to quarantine" in w for w in told)
    assert any("compared as text" in w for w in told)


def test_backlog_is_there_before_the_first_dump(lab: Lab) -> None:
    kafka = MemoryKafka()
    kafka.create_topic("t", partitions=2)
    for number in range(7):
        kafka.produce("t", None, b'{"id":1}', partition=number % 2)
    use_cases = compose.build_use_cases(lab.metastore, kafka)
    use_cases.register_dataset(Dataset(topic="t", table="t"), "test")
    assert lab.metastore.progress("t").backlog == 7
    reader = Dataset(topic="t", table="reader", raw_from="t")
    use_cases.register_dataset(reader, "test")
    assert lab.metastore.progress("reader").backlog == 7  # the other one's

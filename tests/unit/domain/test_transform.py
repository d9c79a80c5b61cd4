"""Steps of each kind, and what may not be in one."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import dataset_to_dict, parse_dataset


def a_step(frame: object) -> object:
    return frame


JAR: dict[str, Any] = {"kind": "jar", "jar": "udfs.jar", "functions": {"mask": "a.Mask"}}


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"sql": " "}, "transforms.sql", "empty"),
        ({"kind": "shell", "sql": "x"}, "transforms.kind", "no kind of step"),
        ({"sql": "SELECT 1 FROM input", "jar": "x.jar"}, "transforms.jar", "kind sql"),
        ({"sql": "SELECT 1 FROM input", "sha256": "0"}, "transforms.sha256", "kind sql"),
        (JAR | {"sql": "SELECT 1"}, "transforms.sql", "means nothing in a step of kind jar"),
        (JAR | {"jar": ""}, "transforms.jar", "empty"),
        (JAR | {"functions": {}}, "transforms.functions", "nothing of udfs.jar is used"),
        (JAR | {"functions": {"a b": "a.Mask"}}, "transforms.functions", "not a name"),
        (JAR | {"functions": {"m": "a.M", "M": "a.N"}}, "transforms.functions", "twice"),
        (JAR | {"functions": {"m": "a.M;"}}, "transforms.functions", "not the name of a class"),
        (JAR | {"class_name": "a b"}, "transforms.class_name", "not the name of a class"),
        ({"kind": "python"}, "transforms.function", "module:function"),
        ({"kind": "python", "function": "os.path"}, "transforms.function", "module:function"),
        ({"kind": "python", "function": "../x:y"}, "transforms.function", "module:function"),
        ({"kind": "python", "function": "a:b", "jar": "x"}, "transforms.jar", "kind python"),
    ],
)
def test_steps_that_cannot_be_name_field_and_remedy(
    fields: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InvalidFieldError, match=said) as caught:
        Transform(**fields)
    assert caught.value.field == field


def test_a_definition_is_the_same_after_its_json() -> None:
    steps = (
        Transform(sql="SELECT * FROM input"),
        Transform(**JAR, sha256="0" * 64, class_name="a.Tidy"),
        Transform(kind="python", function="steps.orders:tidy", sha256="1" * 64),
    )
    dataset = Dataset(topic="t", table="t", transforms=steps)
    plain = dataset_to_dict(dataset)
    assert parse_dataset(plain) == dataset
    assert plain["transforms"][0] == {"kind": "sql", "sql": "SELECT * FROM input", "name": ""}
    assert set(plain["transforms"][2]) == {"kind", "name", "sha256", "function"}


def test_a_function_is_known_by_its_module() -> None:
    def inside(frame: object) -> object:
        return frame

    with pytest.raises(InvalidFieldError, match="not a function of a module"):
        Transform.python(inside)
    step = Transform.python(a_step)
    assert step.function.endswith("test_transform:a_step")

"""The JSON form of a definition. API, CLI, datasets as code and the database all read it here."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.secrets import names_secret
from lake_platform.errors import InvalidFieldError

_DATASET = TypeAdapter(Dataset)
_FIELDS = tuple(f.name for f in dataclasses.fields(Dataset))

# Options of connections and engines, by any of the names that they go by.
_OPERATORS = re.compile(
    r"(?i)(kafka|registry|storage|spark|hoodie|sasl|ssl|security|bootstrap|consumer|plugin)[._].*"
    r"|.*\.class(\.name)?|.*jaas.*|.*callback.*|.*_cb|(.*_)?(options|properties|config|conf)"
)


def parse_dataset(data: Mapping[str, Any]) -> Dataset:
    """Strict: an unknown field, a missing one or a wrong type is refused, nothing is coerced.

    Raises:
        InvalidFieldError: names the first field that is wrong.
    """
    try:
        # The JSON mode of pydantic takes a list for a tuple and is strict in all else.
        return _DATASET.validate_json(json.dumps(to_jsonable_python(dict(data))), strict=True)
    except ValidationError as error:
        raise invalid_field(error.errors()[0], _FIELDS) from None


def dataset_to_dict(dataset: Dataset) -> dict[str, Any]:
    """Plain JSON values; `parse_dataset` is the inverse."""
    plain: dict[str, Any] = json.loads(_DATASET.dump_json(dataset))
    return plain | {"transforms": [step.plain() for step in dataset.transforms]}


def changed(dataset: Dataset, changes: Mapping[str, Any]) -> Dataset:
    """`dataset` with fields replaced by JSON values. Raises: InvalidFieldError."""
    return parse_dataset({**dataset_to_dict(dataset), **changes})


def invalid_field(error: ErrorDetails, known: tuple[str, ...] = ()) -> InvalidFieldError:
    """pydantic's first complaint in the form all our errors have."""
    name = ".".join(str(part) for part in error["loc"]) or "body"
    if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        if _OPERATORS.fullmatch(name) or names_secret(name):
            return InvalidFieldError(
                name, "...", "connections and engines are set by who runs the platform",
                "leave it out; the operator has LAKE_KAFKA_OPTIONS and the like",
            )  # fmt: skip
        allowed = f"known fields are: {', '.join(known)}" if known else "leave it out"
        return InvalidFieldError(name, error["input"], "unknown field", allowed)
    if error["type"] in {"missing", "missing_argument"}:
        return InvalidFieldError(name, None, "missing", "give a value")
    return InvalidFieldError(
        name, error["input"], error["msg"], "see the field's description at /docs of the API"
    )

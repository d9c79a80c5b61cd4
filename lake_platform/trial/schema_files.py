"""Files with the schemas that records of a trial were written by, in the place of a registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lake_platform.errors import InvalidFieldError

_PROTO = ".proto"
_JSON_SCHEMA = {"$schema", "properties", "oneOf", "anyOf", "$ref"}


def schema_text(path: Path) -> str:
    """Raises: InvalidFieldError for a file that holds no schema."""
    try:
        text = path.read_text()
        if path.suffix == _PROTO:
            return text
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidFieldError("schema-file", str(path), str(error), "give JSON") from None
    if not isinstance(found, dict) or not (_is_avro(found) or _is_json_schema(found)):
        raise InvalidFieldError(
            "schema-file", str(path), "neither an Avro record nor a JSON schema of objects",
            "give one of these",
        )  # fmt: skip
    return text


def format_of(path: Path, text: str) -> str:
    """The `value_format` of what `schema_text` gave."""
    if path.suffix == _PROTO:
        return "protobuf"
    return "avro" if _is_avro(json.loads(text)) else "json_schema"


def _is_avro(found: Mapping[str, Any]) -> bool:
    return found.get("type") == "record" and "fields" in found


def _is_json_schema(found: Mapping[str, Any]) -> bool:
    return bool(_JSON_SCHEMA & found.keys()) or found.get("type") == "object"

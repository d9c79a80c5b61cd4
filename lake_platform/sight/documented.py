"""What registered schemas say of fields beside their types: what they mean, and whether a record
always has a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lake_platform.domain.mapping import Mapped, Path
from lake_platform.domain.registry import Declared
from lake_platform.sight.declared import AvroColumns, JsonSchemaColumns
from lake_platform.sight.protobuf import ProtobufColumns

_MOST_CHARACTERS = 1_000


class Said(NamedTuple):
    doc: str
    required: bool


def with_said(
    lines: Iterable[Mapped], declared: Iterable[Declared], envelope: str = "none"
) -> tuple[Mapped, ...]:
    """The mapping with what the newest schema that has the field says of it."""
    newest = sorted(declared, key=lambda d: d.id)
    told = [(one.id, dict(_of(one))) for one in newest]
    if envelope in ("debezium", "auto"):
        told = [(number, _of_rows(said)) for number, said in told]
    return tuple(_told(line, told) for line in lines)


def _of_rows(said: dict[Path, Said]) -> dict[Path, Said]:
    """Of change events what is said of their rows."""
    if not {("op",), ("source",), ("after",)} <= said.keys():
        return said
    return {path[1:]: one for path, one in said.items() if path[:1] == ("after",) and path[1:]}


def _told(line: Mapped, told: Iterable[tuple[int, Mapping[Path, Said]]]) -> Mapped:
    for number, said in reversed(list(told)):
        if (found := said.get(line.path)) is not None:
            by = f"schema {number}"
            reason = line.reason if by in line.reason else f"{line.reason}, declared by {by}"
            reason += ", required" if found.required else ""
            return replace(line, reason=reason, doc=found.doc)
    return line


def _of(declared: Declared) -> Iterator[tuple[Path, Said]]:
    if declared.kind == "protobuf":
        found = ProtobufColumns(declared).said()
    elif declared.kind == "avro":
        walk = AvroColumns(declared)
        found = _avro(walk, walk.schema, "", (), ())
    else:
        document = JsonSchemaColumns(declared)
        found = _json(document, document.root_schema, document.root_schema, (), ())
    return ((path, Said(_line(doc), required)) for path, doc, required in found)


def _line(text: Any) -> str:
    return " ".join(text.split())[:_MOST_CHARACTERS] if isinstance(text, str) else ""


_Found = Iterator[tuple[Path, Any, bool]]


def _avro(walk: AvroColumns, schema: Any, space: str, path: Path, above: tuple[str, ...]) -> _Found:
    if isinstance(schema, list):
        records = [b for b in schema if b != "null"]
        if len(records) == 1:
            yield from _avro(walk, records[0], space, path, above)
        return
    schema, space = walk.resolved(schema, space)
    if not isinstance(schema, dict) or schema.get("name") in above:
        return
    for inner in ("items", "values"):
        if inner in schema:
            yield from _avro(walk, schema[inner], space, (*path, None), above)
    for field in schema.get("fields", ()):
        own, kind = (*path, field["name"]), field["type"]
        plain, _ = walk.resolved(kind, space)
        doc = field.get("doc") or (plain.get("doc") if isinstance(plain, dict) else None)
        yield own, doc, kind != "null" and not (isinstance(kind, list) and "null" in kind)
        yield from _avro(walk, kind, space, own, (*above, schema.get("name", "")))


def _json(
    walk: JsonSchemaColumns, schema: Any, document: Any, path: Path, above: tuple[str, ...]
) -> _Found:
    schema, document, above = walk.resolved(schema, document, above)
    if not isinstance(schema, Mapping):
        return
    if isinstance(schema.get("items"), Mapping):
        yield from _json(walk, schema["items"], document, (*path, None), above)
    always = schema.get("required")
    for key, inner in (schema.get("properties") or {}).items():
        own, plain = (*path, key), walk.resolved(inner, document, above)[0]
        told = [s.get("description") for s in (inner, plain) if isinstance(s, Mapping)]
        needed = isinstance(always, list) and key in always and not _nullable(plain)
        yield own, next(filter(None, told), None), needed
        yield from _json(walk, inner, document, own, above)


def _nullable(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return True
    kind = schema.get("type")
    branches = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(map(_nullable, branches))
    )

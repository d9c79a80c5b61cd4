"""From the options of a definition to hints (domain/hints), and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from lake_platform.domain.change import (
    OP_COLUMN,
    OP_KEY,
    POSITION_COLUMN,
    POSITION_KEY,
    TIME_COLUMN,
    TIME_KEY,
)
from lake_platform.domain.hints import RECORD_COLUMN, RECORD_KEY, Hint, Node, parsed_key
from lake_platform.domain.mapping import Path, parse_path, shown
from lake_platform.domain.names import column_name, is_ours
from lake_platform.domain.schema import Decimal, Scalar, Type
from lake_platform.errors import InvalidFieldError

OPTIONS = ("name", "type", "values", "format", "aliases", "drop", "parse")
_SCALARS = (
    "boolean", "int", "long", "float", "double", "string", "date", "timestamp", "binary", "json",
)  # fmt: skip
_CONTAINERS = ("map", "array")
_FORMATS = ("iso", "s", "ms", "us", "ns")
_DECIMAL = re.compile(r"decimal\((\d{1,2}), ?(\d{1,2})\)")
_CHANGE = {
    OP_KEY: Node(Hint(OP_COLUMN, made="what the change event did")),
    TIME_KEY: Node(Hint(TIME_COLUMN, Scalar("timestamp", "ms"), made="when, at the source")),
    POSITION_KEY: Node(Hint(POSITION_COLUMN, made="where in the source's log")),
}
_TYPES = f"one of {', '.join(_SCALARS)}, decimal(p,s) with p from 1 to 38 and s from 0 to p"


def plain(columns: Any) -> dict[str, dict[str, Any]]:
    """`columns` as JSON has it, in one form for each path.

    Raises: InvalidFieldError, which names the first hint that cannot be.
    """
    if not isinstance(columns, Mapping):
        raise InvalidFieldError("columns", columns, "not a mapping", "give path: {hint: value}")
    found: dict[str, dict[str, Any]] = {}
    for text, given in columns.items():
        path = _path(text)
        if shown(path) in found:
            raise InvalidFieldError(
                "columns", text, f"a second hint for {shown(path)}", "give one with all options"
            )
        found[shown(path)] = _options(text, given)
    compiled(found)
    return found


def compiled(
    columns: Mapping[str, Mapping[str, Any]], *, keep_raw: bool = False, change: bool = False
) -> Node:
    """The tree of sound options, with what is said of keys that are made.

    Raises: InvalidFieldError for hints that exclude each other.
    """
    root = Node()
    for text, given in columns.items():
        path = parse_path(text)
        node = root
        for part in path:
            if part is None:
                node.each = node.each or Node()
                node = node.each
            else:
                node = node.keys.setdefault(part, Node())
        if node.hint != Hint():  # of `values` above
            _refuse(text, "type", given.get("type"), "its type is said by `values` of the other")
        node.hint = _hint(path, text, given)
        if "values" in given:
            if node.each is not None:
                _refuse(text, "values", given["values"], f"there is a hint for {text}[]")
            node.each = Node(Hint(type=_type(text, "values", given["values"], given)))
    _check_tree(root, ())
    _add_parsed(root)
    if change:
        root.keys |= _CHANGE
    if keep_raw:
        root.keys[RECORD_KEY] = Node(Hint(RECORD_COLUMN, made="the record as it came (keep_raw)"))
    return root


def _add_parsed(node: Node) -> None:
    for key, child in list(node.keys.items()):
        if child.hint.parse:
            made = node.keys.setdefault(parsed_key(key), Node())
            made.hint = replace(made.hint, made=f"what the text in {shown((key,))} says")
        _add_parsed(child)
    if node.each is not None:
        _add_parsed(node.each)


def _path(text: Any) -> Path:
    try:
        path = parse_path(text)
    except ValueError as error:
        raise InvalidFieldError(
            "columns", text, f"not a path: {error}", 'write it as in a."x-y".items[].id'
        ) from None
    except (TypeError, AttributeError):
        raise InvalidFieldError("columns", text, "not a path", "give it as text") from None
    return path


def _refuse(
    text: str, option: str, value: Any, why: str, remedy: str = "leave out one"
) -> NoReturn:
    raise InvalidFieldError(f"columns.{text}.{option}", value, why, remedy)


def _options(text: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise InvalidFieldError(
            f"columns.{text}", given, "says nothing", f"give some of {', '.join(OPTIONS)}"
        )
    for option in given:
        if option not in OPTIONS:
            _refuse(text, option, given[option], "unknown", f"known are {', '.join(OPTIONS)}")
    if given.get("parse", "json") != "json":
        _refuse(text, "parse", given["parse"], "unknown", "give json")
    if "drop" in given and (given["drop"] is not True or given.keys() - {"drop", "parse"}):
        _refuse(text, "drop", given["drop"], "not `true` alone",
                "give drop: true, and no more than parse: json")  # fmt: skip
    _check_types(text, given)
    if "aliases" not in given:
        return dict(given)
    aliases = given["aliases"]
    sound = isinstance(aliases, list | tuple) and all(isinstance(a, str) for a in aliases)
    if not sound or not aliases or len(set(aliases)) < len(aliases):
        _refuse(text, "aliases", aliases, "not a list of different keys", "give [key, …]")
    return {**given, "aliases": list(aliases)}


def _check_types(text: str, given: Mapping[str, Any]) -> None:
    kind = given.get("type")
    if "type" in given and kind not in _CONTAINERS:
        _type(text, "type", kind, given)
    if "values" in given:
        if kind not in _CONTAINERS:
            _refuse(text, "values", given["values"], "no map or array", "give type: map or array")
        _type(text, "values", given["values"], given)
    if "format" in given:
        if given["format"] not in _FORMATS:
            _refuse(text, "format", given["format"], "unknown", f"give {', '.join(_FORMATS)}")
        if not {kind, given.get("values")} & {"date", "timestamp"}:
            _refuse(text, "format", given["format"], "no date or timestamp", "give such a type")


def _type(text: str, option: str, kind: Any, given: Mapping[str, Any]) -> Type:
    found = _DECIMAL.fullmatch(kind) if isinstance(kind, str) else None
    if found:
        decimal = Decimal(int(found[1]), int(found[2]))
        if decimal.storable and decimal.precision:
            return decimal
    elif kind in _SCALARS:
        is_time = kind in ("date", "timestamp")
        unit = given.get("format", "iso") if is_time else "iso"
        return Scalar(kind, "" if unit == "iso" else unit)
    more = ", map, array" if option == "type" else ""
    raise InvalidFieldError(f"columns.{text}.{option}", kind, "no type", f"give {_TYPES}{more}")


def _hint(path: Path, text: str, given: Mapping[str, Any]) -> Hint:
    for option in ("name", "aliases", "drop", "parse"):
        if option in given and path[-1] is None:
            _refuse(text, option, given[option], "elements and values have no key of their own",
                    "give it for what they are in")  # fmt: skip
    name, kind = given.get("name", ""), given.get("type")
    if "name" in given:
        _check_column(path, text, name)
    if path[-1] in given.get("aliases", ()):
        _refuse(text, "aliases", given["aliases"], "its own key is among them", "leave that out")
    return Hint(
        name,
        None if kind is None or kind in _CONTAINERS else _type(text, "type", kind, given),
        kind if kind in _CONTAINERS else "",
        tuple(given.get("aliases", ())),
        given.get("drop", False),
        "parse" in given,
    )


def _check_column(path: Path, text: str, name: Any) -> None:
    ours = isinstance(name, str) and len(path) == 1 and is_ours(name)
    if ours or not isinstance(name, str) or not name or column_name(name) != name:
        _refuse(text, "name", name, "a name of ours" if ours else "not usable as a name",
                "give letters, digits and _, no digit first, up to 120")  # fmt: skip


def _check_tree(node: Node, path: Path) -> None:
    hint, text = node.hint, shown(path)
    below = f"{text}[]" if node.each is not None else shown((*path, *list(node.keys)[:1]))
    if node.each is not None and node.keys:
        one = shown((*path, *list(node.keys)[:1]))
        _never(below, f"{one} makes {text} an object with names, {below} a map or array")
    if node.below and (hint.type is not None or hint.drop):
        what = "dropped" if hint.drop else str(hint.type)
        _never(below, f"{text} is {what} by its hint, and nothing is below it")
    if node.keys and hint.container:
        _never(below, f"{text} is a {hint.container} by its hint; what it holds is {text}[]")
    _check_siblings(node, path)
    for key, child in node.keys.items():
        _check_tree(child, (*path, key))
    if node.each is not None:
        _check_tree(node.each, (*path, None))


def _check_siblings(node: Node, path: Path) -> None:
    names: dict[str, str] = {}
    claimed = dict.fromkeys(node.keys, "")
    for key, child in node.keys.items():
        text, hint = shown((*path, key)), child.hint
        if hint.name and (other := names.setdefault(hint.name.lower(), text)) != text:
            _refuse(text, "name", hint.name, f"{other} has it (case does not count)",
                    "give another name")  # fmt: skip
        for alias in hint.aliases:
            if alias in claimed:
                whose = claimed[alias] or shown((*path, alias))
                _refuse(text, "aliases", alias, f"there is another hint for it, of {whose}")
            claimed[alias] = text


def _never(path: str, why: str) -> NoReturn:
    raise InvalidFieldError("columns", path, f"can never be: {why}", "leave out one of the two")

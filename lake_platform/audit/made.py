"""What a definition makes of records beside what they say, worked out from parsed documents alone:
the record as text, and what texts with JSON in them say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from lake_platform.audit.columns import Rescued, escaped
from lake_platform.audit.scalars import Number
from lake_platform.domain.hints import RECORD_KEY, Node, parsed_key
from lake_platform.domain.quality import MAX_DEPTH, MAX_NUMBER_CHARS

_BLANK = " \t\n\r"  # as JSON has it
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')


class Document(dict[str, Any]):
    """A record. `unparsed`: its texts that should be JSON and are not, by pointer."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        super().__init__(said)
        self.unparsed: Rescued = {}


class Maker:
    """`apart`: a key that differs in case only from one with a hint is not meant by it."""

    def __init__(self, hints: Node, *, apart: bool) -> None:
        self._hints, self._apart = hints, apart
        self._parses = any(hint.parse for _, hint in hints.paths())

    def document(self, said: dict[str, Any], text: bytes) -> Document:
        document = Document(said)
        if self._parses:
            document.update(self._made(said, self._hints, "", document.unparsed))
        if RECORD_KEY in self._hints.keys:
            # Raw keeps a record on one line.
            document[RECORD_KEY] = text.decode().replace("\n", " ").replace("\r", " ")
        return document

    def _made(self, said: Any, node: Node, at: str, unparsed: Rescued) -> Any:
        if isinstance(said, list) and node.each is not None:
            return [self._made(v, node.each, f"{at}/{n}", unparsed) for n, v in enumerate(said)]
        if not isinstance(said, dict) or not node.below:
            return said
        if node.each is not None:
            if self._is_single(said, node.each):
                return self._made(said, node.each, at, unparsed)
            each = node.each
            return {k: self._made(v, each, f"{at}/{escaped(k)}", unparsed) for k, v in said.items()}
        found = dict(said)
        for own, child in node.keys.items():
            for key in self._spelled(own, node, said):
                found[key] = self._made(said[key], child, f"{at}/{escaped(key)}", unparsed)
                name = parsed_key(own)
                if not child.hint.parse or name in found:
                    continue
                made = self._parsed(said[key], f"{at}/{escaped(key)}", unparsed)
                if made is not None:
                    below, place = node.keys.get(name, Node()), f"{at}/{escaped(name)}"
                    found[name] = self._made(made, below, place, unparsed)
        return found

    @staticmethod
    def _parsed(value: Any, at: str, unparsed: Rescued) -> Any:
        """None where there is nothing."""
        if not isinstance(value, str):
            return value
        text = value.strip(_BLANK)
        if not text:
            return None
        try:
            return _loads(text)
        except (ValueError, RecursionError):
            unparsed[at] = value
            return None

    def _spelled(self, own: str, node: Node, said: Mapping[str, Any]) -> Iterator[str]:
        listed = [own, *node.keys[own].hint.aliases]
        yield from (key for key in listed if key in said)
        if not self._apart:
            for key in said:
                if key not in listed and node.owner(key) is None and node.twin(key) == own:
                    yield key

    @staticmethod
    def _is_single(said: Mapping[str, Any], each: Node) -> bool:
        parsed = (key for key, child in each.keys.items() if child.hint.parse)
        return any(isinstance(said.get(key), str) for key in parsed)


def _loads(text: str) -> Any:
    """Raises: ValueError, RecursionError."""
    orjson.loads(text)
    if _depth(text) > MAX_DEPTH - (not text.startswith("{")):
        raise ValueError("nested too deep")
    return json.loads(text, parse_float=_short(Number.of), parse_int=_short(int))


def _short(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        if len(text) > MAX_NUMBER_CHARS:
            raise ValueError("a number too long")
        return read(text)

    return checked


def _depth(text: str) -> int:
    depth = most = 0
    for bracket in re.findall(r"[\[{}\]]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most

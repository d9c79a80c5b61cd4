"""Records with what the definition has made of them: of a change event the row it is about
(`envelope`), and beside what that says under `RECORD_KEY` the whole record as text (`keep_raw`),
under `parsed_key` what a text with JSON in it says (`parse`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import orjson

from lake_platform.domain.change import OP_KEY, POSITION_KEY, TIME_KEY, ChangeEvent
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import RECORD_KEY, Node, parsed_key
from lake_platform.domain.mapping import Path
from lake_platform.domain.quality import MAX_NUMBER_CHARS, Reason
from lake_platform.domain.schema import Struct
from lake_platform.records.change.event import Events
from lake_platform.records.conform import LongNumberError, parse_value
from lake_platform.records.envelope import Classifier
from lake_platform.records.verbatim import escaped

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A text that is no JSON, as the record writes it; `path` is that of what would be made."""

    path: Path
    pointer: str
    text: str


@dataclass(slots=True)
class Opened:
    """`data`: the line or value. What is made stands behind what the record has.

    `ends`: how a change event ends that gives no row; `keys` are texts that may name the key of the
    row that goes by it, the surest first. Of one that gives a row, of the row as it was before."""

    data: bytes
    unparsed: list[Unparsed] = field(default_factory=list)
    ends: Reason | Literal["", "delete", "nothing", "truncate"] = ""
    keys: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it is a row and nothing else."""
        return not (self.unparsed or self.ends or self.keys)


class Opener:
    """`any`: whether the definition asks for something to be made. `named`: keys of records that
    the key of a row may be made of; without them all may."""

    def __init__(self, dataset: Dataset, named: Collection[str] | None = None) -> None:
        self._events = None if dataset.envelope == "none" else Events(dataset.envelope)
        self._key_names: tuple[str, ...] = ()
        self._changelog = dataset.mode == "append"
        self._named = None if named is None else {name.casefold() for name in named}
        self._hints, self._whole = dataset.hints, dataset.keep_raw
        self._apart = dataset.case_twins == "split"
        self._parses = any(hint.parse for _, hint in dataset.hints.paths())
        self._sound = Classifier().sound
        self.any = self._whole or self._parses or self._events is not None

    def watch_key(self, key: bytes | None) -> None:
        """Of a record that is looked at; the first one that says something counts."""
        if self._events is None or self._key_names or not key:
            return
        try:
            found = _object(self._events.key(key.decode()))
        except ValueError:
            return
        self._key_names = tuple(found)

    def key_columns(self, source: Struct) -> tuple[str, ...]:
        """Those of `source` that the keys which were watched have; nothing where one is none."""
        found = [source.of_key(name) for name in self._key_names]
        # What MongoDB calls `id` in keys is `_id` in its rows.
        whole = all(found) or (any(found) and {*self._key_names} == {"_id", "id"})
        return tuple(one.name for one in found if one is not None) if whole else ()

    def hinted(self, dataset: Dataset) -> Dataset:
        """With the types that change events have declared so far, where no hint says others."""
        if self._events is None or not self._events.hints:
            return dataset
        return dataset.with_changes({"columns": {**self._events.hints, **dataset.columns}})

    def line(self, line: bytes) -> Opened:
        """Of a raw line; one without a value stays as it is."""
        if not self.any:
            return Opened(line)
        held = _object(line)
        value = held.get("value")
        key = _text(held["key"]) if _is_text(held.get("key")) else None
        if value is None or bytes(value) == b"null":
            if self._events is None or key is None or self._changelog or "tombstone" not in held:
                return Opened(line)
            return Opened(line, ends="delete", keys=(self._events.key(key),))
        opened = self.value(bytes(value), key)
        opened.data = _encode(held | {"value": msgspec.Raw(opened.data)})
        return opened

    def value(self, value: bytes, key: str | None = None) -> Opened:
        """Of a value that is one JSON object, and the key of its record."""
        opened = Opened(value) if self._events is None else self._row(value, key, self._events)
        if opened.ends:
            return opened
        if self._parses:
            opened.data = self._inside(opened.data, self._hints, (), "", opened)
        if self._whole:
            text = _encode(value.decode())
            opened.data = _encode(_object(opened.data) | {RECORD_KEY: msgspec.Raw(text)})
        return opened

    def _row(self, value: bytes, key: str | None, events: Events) -> Opened:
        """Of a change event."""
        event = events.read(value)
        if event is None:
            return Opened(b"null", ends="nothing")
        if not isinstance(event, ChangeEvent):
            return Opened(b"null", ends=event)
        if event.op == "t":
            return Opened(b"null", ends="truncate")
        if event.op != "d":
            return self._change(event, event.row)
        before = None if event.before is None else event.before.decode()
        named = None if key is None else events.key(key)
        keys = tuple(text for text in (before, named) if text)
        if not self._changelog:
            return Opened(b"null", ends="delete", keys=keys)
        row = next((text.encode() for text in keys if text.startswith("{")), None)
        return self._change(event, row)

    def _change(self, event: ChangeEvent, row: bytes | None) -> Opened:
        """As a row."""
        try:
            held = None if row is None else _object(row)
        except ValueError:  # a key that is no JSON
            held = None
        if held is None:
            return Opened(b"null", ends=Reason.NO_ROW)
        moved = event.before and not self._changelog and self._moved(_object(event.before), held)
        keys = (event.before.decode(),) if moved and event.before else ()
        return Opened(_encode(held | _said(event)), keys=keys)

    def _moved(self, before: Mapping[str, msgspec.Raw], row: Mapping[str, msgspec.Raw]) -> bool:
        """Whether the key of a row may be another than before."""
        return any(
            key in row and bytes(raw) != bytes(row[key])
            for key, raw in before.items()
            if self._named is None or key.casefold() in self._named
        )

    def _inside(self, raw: bytes, node: Node, path: Path, at: str, opened: Opened) -> bytes:
        first = raw.lstrip()[:1]
        if first == b"[" and node.each is not None:
            items = enumerate(_array(raw))
            each = (*path, None)
            return _encode(
                [
                    msgspec.Raw(self._inside(bytes(item), node.each, each, f"{at}/{n}", opened))
                    for n, item in items
                ]
            )
        if first != b"{" or not node.below:
            return raw
        held = _object(raw)
        if node.each is None:
            return _encode(self._object(held, node, path, at, opened))
        if any(_is_text(held.get(key)) for key in _texts(node.each)):
            # A single one of what others have several of; what a map holds are no texts here.
            return self._inside(raw, node.each, path, at, opened)
        each = (*path, None)
        return _encode(
            {
                key: msgspec.Raw(
                    self._inside(bytes(item), node.each, each, f"{at}/{escaped(key)}", opened)
                )
                for key, item in held.items()
            }
        )

    def _object(
        self, held: dict[str, msgspec.Raw], node: Node, path: Path, at: str, opened: Opened
    ) -> dict[str, msgspec.Raw]:
        made = dict(held)
        for own, child in node.keys.items():
            beside = parsed_key(own)
            for key in self._spelled(own, node, held):
                pointer = f"{at}/{escaped(key)}"
                raw = bytes(held[key])
                if child.below:
                    made[key] = msgspec.Raw(self._inside(raw, child, (*path, own), pointer, opened))
                if not child.hint.parse or beside in made:
                    continue
                found, where = self._parsed(raw), (*path, beside)
                if found is None:
                    opened.unparsed.append(Unparsed(where, pointer, raw.decode()))
                elif found:
                    below = node.keys[beside]
                    below_at = f"{at}/{escaped(beside)}"
                    made[beside] = msgspec.Raw(self._inside(found, below, where, below_at, opened))
        return made

    def _spelled(self, own: str, node: Node, held: dict[str, msgspec.Raw]) -> Iterator[str]:
        """Keys of a record that mean `own`, itself first."""
        listed = [own, *node.keys[own].hint.aliases]
        yield from (key for key in listed if key in held)
        if not self._apart:
            yield from (
                key
                for key in held
                if key not in listed and node.owner(key) is None and node.twin(key) == own
            )

    def _parsed(self, raw: bytes) -> bytes | None:
        """What the value says, empty where it says nothing; None for a text that is no JSON."""
        if not _is_text(raw):
            return b"" if raw == b"null" else raw
        text = _text(raw).encode().strip(b" \t\n\r")
        if not text:
            return b""
        if not self._is_json(text):
            return None
        return b"" if text == b"null" else text.replace(b"\n", b" ").replace(b"\r", b" ")

    def _is_json(self, text: bytes) -> bool:
        """Whether it is one value, as a record's own JSON must be."""
        whole = b'{"value":' + text + b"}"
        if not self._sound(text if text[:1] == b"{" else whole):
            return False
        if text[:1] != b"{" and not _one_value(text):  # 1,"a":2 makes an object of the whole
            return False
        return len(text) <= MAX_NUMBER_CHARS or _short_numbers(whole)


def _said(event: ChangeEvent) -> dict[str, msgspec.Raw]:
    """What the envelope says beside the row."""
    said: dict[str, str | int | None] = {
        OP_KEY: event.op, TIME_KEY: event.time, POSITION_KEY: event.position or None,
    }  # fmt: skip
    return {key: msgspec.Raw(_encode(v)) for key, v in said.items() if v is not None}


def _texts(node: Node) -> Iterator[str]:
    """Keys of an object under which there is a text to parse."""
    return (key for key, child in node.keys.items() if child.hint.parse)


def _is_text(raw: bytes | msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw)[:1] == b'"'


def _one_value(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _short_numbers(whole: bytes) -> bool:
    """As those of a record must be."""
    try:
        parse_value(whole)
    except (LongNumberError, RecursionError, ValueError):
        return False
    return True

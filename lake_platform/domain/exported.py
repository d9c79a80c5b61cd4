"""A schema as hints (`columns:` of a definition) that give a rebuild the same names and types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lake_platform.domain.change import MADE_KEYS
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import RECORD_KEY
from lake_platform.domain.mapping import Mapped, Path, shown
from lake_platform.domain.names import assign, is_ours, never
from lake_platform.domain.schema import RESCUED, Array, Decimal, Field, Map, Scalar, Struct, Type

Hints = dict[str, dict[str, Any]]
_PLAIN_KEY = 1000
_INFERRED = frozenset(["boolean", "long", "double", "string"])

_MADE = (RECORD_KEY, *MADE_KEYS)


def hints(
    dataset: Dataset, source: Struct, mapped: Iterable[Mapped], dropped: Iterable[Field] = ()
) -> Hints:
    """By path, as `mapping.shown` writes it. Left out is what the rules give by themselves from the
    same records, whatever else comes: `dropped` are root columns that are no longer loaded."""
    exporter = _Exporter(dataset, {m.path: m for m in mapped})
    found = dict(exporter.struct(source, (), is_ours))
    gone = {shown((f.keys[0],)): {"drop": True} for f in dropped if source.same(f) is None}
    return {path: hint for path, hint in found.items() if hint} | gone


class _Exporter:
    def __init__(self, dataset: Dataset, told: Mapping[Path, Mapped]) -> None:
        self._dataset, self._told = dataset, told
        self._lower = dataset.names == "lower"
        self._parsed = {path for path, hint in dataset.hints.paths() if hint.parse}

    def struct(
        self, struct: Struct, path: Path, reserved: Callable[[str], bool]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        held = [f for f in struct.fields if f.keys and (path or f.keys[0] not in _MADE)]
        company = assign(
            {f.keys[0] for f in held} | self._pending(path), reserved=reserved, lower=self._lower
        )
        folds = Counter(f.keys[0].casefold() for f in held)
        for field in held:
            key = field.keys[0]
            own = (*path, key)
            alone = assign([key], reserved=reserved, lower=self._lower)[key]
            hint: dict[str, Any] = {}
            # Which of two keys has the plain name, and whether spellings are one column, may come
            # out otherwise when more records are looked at.
            if not field.name == alone == company[key] or folds[key.casefold()] > 1:
                hint["name"] = field.name
            if field.aliases:
                hint["aliases"] = list(field.aliases)
            if own in self._parsed:
                hint["parse"] = "json"
            yield shown(own), hint | self._type(field.type, own, rescue=field.rescue)
            yield from self._inside(field.type, own)

    def _inside(self, kind: Type, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(kind, Struct):
            yield from self.struct(kind, path, never)
        elif isinstance(kind, Array | Map):
            inner = kind.element if isinstance(kind, Array) else kind.value
            each = (*path, None)
            if isinstance(kind, Array):  # a map's hint has the type of its values
                yield shown(each), self._type(inner, each, rescue=False)
            yield from self._inside(inner, each)

    def _type(self, kind: Type, path: Path, *, rescue: bool) -> dict[str, Any]:
        if isinstance(kind, Map):
            values = kind.value
            plain = isinstance(values, Scalar | Decimal)
            return {"type": "map"} | ({"values": str(values)} if plain else {})
        if not isinstance(kind, Scalar | Decimal) or kind == RESCUED:
            return {}
        # No record says so where there is no line: an operator added it, or an older release did.
        unsaid = path[-1] is not None and path not in self._told
        inferred = str(kind) in _INFERRED or isinstance(kind, Decimal)
        return {"type": str(kind)} if unsaid or rescue or not inferred else {}

    def _pending(self, path: Path) -> set[str]:
        """Keys that will want a name beside those that have one."""
        depth = len(path) + 1
        lines = (m for m in self._told.values() if "pending" in m.rules and len(m.path) == depth)
        return {key for m in lines if m.path[:-1] == path and (key := m.path[-1]) is not None}


def as_yaml(found: Hints) -> str:
    """`columns:` of a definition."""
    if not found:
        return "columns: {}"
    return "\n".join(["columns:", *(_line(_text(p), _flow(hint)) for p, hint in found.items())])


def _line(path: str, hint: str) -> str:
    # YAML takes keys of up to 1024 characters without a mark.
    return f"  {path}: {hint}" if len(path) <= _PLAIN_KEY else f"  ? {path}\n  : {hint}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(v)}" for name, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return "true" if value is True else _text(value)


def _text(text: str) -> str:
    """Quoted, as a key may be anything and `no` and `1` are no texts in YAML."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    if c.isprintable():
        return c
    return f"\\u{ord(c):04x}" if ord(c) <= 0xFFFF else f"\\U{ord(c):08x}"

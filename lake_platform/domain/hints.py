"""Hints: what a definition says of columns, whatever records look like.

`columns` of a dataset maps the path of what records have to what is to become of it:

    columns:
      'reactions."+1"':   {name: thumbs_up}
      labels:             {type: map, values: string}
      requestParameters:  {type: json}
      'resources[].tags': {drop: true}
      eventTime:          {type: timestamp, format: ms}
      requestId:          {aliases: [requestID, requestid]}

A path has the keys from the record down, `[]` for the elements of an array and the values of a map;
a key that is not of letters, digits and `_` only is quoted as JSON. A hint beats what is made of
records by themselves, at any depth, at first sight and for columns that come to a table later.

    name     of the column; other keys that would have this name yield.
    type     boolean, int, long, float, double, string, date, timestamp, binary, decimal(p,s), json,
             map or array. A value that does not fit goes to `_rescued`. A single value is taken for
             an array of one.
    values   the type of what a map or array holds; without it what was seen decides.
    format   of a date or timestamp: `iso` text, or the number of `s`, `ms`, `us` or `ns` since
             1970 (UTC), fractions too. What is finer than a microsecond is cut, as in texts; a date
             must be a whole day; years are 1 to 9999.
    aliases  other keys that mean this column, whether they were seen or not. Where a record has
             several, the column's own key counts, then they as listed, and what differs goes to
             `_rescued`.
    parse    `json`: what a text with JSON in it says, in a column of its own (`payload_json` beside
             `payload`), as if the record had it under the key `payload json`. A text that is no
             JSON goes to `_rescued`; what is no text is taken as it is.
    drop     no column; values are passed over and counted, those of keys that differ in case only
             too, unless they have a column (`case_twins: split`: they are other keys). A value that
             goes to `_rescued` whole, or becomes `json`, is kept with all that is in it.

A hint for what no record has yet waits for it. On a table with this column a hint cannot change its
name or type or drop it, but by a rebuild; further aliases are taken up by the next load. A hint
that goes away leaves the columns as they are; what is dropped or parsed is so for all rows of a
table, and changes by a rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lake_platform.domain.mapping import Path
from lake_platform.domain.schema import Array, Map, Struct, Type


@dataclass(frozen=True, slots=True)
class Hint:
    """`type` is that of a column with plain values or `json`, `container` what else it is."""

    name: str = ""
    type: Type | None = None
    container: Literal["", "map", "array"] = ""
    aliases: tuple[str, ...] = ()
    drop: bool = False
    parse: bool = False
    made: str = ""  # of a key that no record has: what makes it

    @property
    def says(self) -> str:
        """For people."""
        what = [self.made] if self.made else []
        what += [f"named {self.name}"] if self.name else []
        if self.type is not None:
            unit = getattr(self.type, "format", "")
            what.append(f"{self.type} by hint" + (f", from {unit} since 1970" if unit else ""))
        what += [f"{self.container} by hint"] if self.container else []
        what += [f"means {', '.join(self.aliases)} too"] if self.aliases else []
        what += ["parsed beside"] if self.parse else []
        return "; ".join(what) or ("dropped by hint" if self.drop else "")


NO_HINT = Hint()
RECORD_KEY = "(record)"
"""Stands for all of a record, as text, where `keep_raw` asks for it."""
RECORD_COLUMN = "_raw"
TOLD = "the definition says so"  # of an alias


def parsed_key(key: str) -> str:
    """Stands for what the text under `key` says."""
    return f"{key} json"


@dataclass(slots=True, eq=False)
class Node:
    """What is said of one path and below it: `keys` of an object, `each` element or value."""

    hint: Hint = NO_HINT
    keys: dict[str, Node] = field(default_factory=dict)
    each: Node | None = None

    def __bool__(self) -> bool:
        return self.hint != NO_HINT or self.below

    @property
    def below(self) -> bool:
        return bool(self.keys) or self.each is not None

    @property
    def names(self) -> Mapping[str, str]:
        """Of columns, by key."""
        return {key: node.hint.name for key, node in self.keys.items() if node.hint.name}

    def owner(self, key: str) -> str | None:
        """The key with a hint that says what `key` means."""
        if key in self.keys:
            return key
        return next((own for own, node in self.keys.items() if key in node.hint.aliases), None)

    def twin(self, key: str) -> str | None:
        """As `owner`, of a key that differs in case only."""
        fold = key.casefold()
        spelled = ((k, own) for own, n in self.keys.items() for k in (own, *n.hint.aliases))
        return next((own for k, own in spelled if k.casefold() == fold), None)

    def of(self, keys: Sequence[str]) -> Node:
        """Of the column that has these keys."""
        found = (self.keys[own] for key in keys if (own := self.owner(key)) is not None)
        return next(found, NONE)

    @property
    def elements(self) -> Node:
        return self.each or NONE

    def paths(self, at: Path = ()) -> Iterator[tuple[Path, Hint]]:
        """Every path of which something is said."""
        if self.hint != NO_HINT:
            yield at, self.hint
        for key, node in self.keys.items():
            yield from node.paths((*at, key))
        if self.each is not None:
            yield from self.each.paths((*at, None))


NONE = Node()


def along(kind: Type, hints: Node, change: Callable[[Struct, Node], Struct]) -> Type:
    """`kind` with what `change` makes of each struct that hints speak of, inner ones first."""
    if not hints.below:
        return kind
    if isinstance(kind, Array):
        return Array(along(kind.element, hints.elements, change))
    if isinstance(kind, Map):
        return Map(along(kind.value, hints.elements, change))
    if not isinstance(kind, Struct):
        return kind
    inside = (replace(f, type=along(f.type, hints.of(f.keys), change)) for f in kind.fields)
    return change(Struct(tuple(inside)), hints)

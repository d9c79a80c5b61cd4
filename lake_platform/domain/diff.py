"""The structural difference of two schemas, and the verdict on each change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lake_platform.domain.schema import (
    UNKNOWN,
    Array,
    Field,
    Map,
    Struct,
    Type,
    why_unstorable,
    widens,
    without_unknown,
)

Verdict = Literal["automatic", "proposal", "breaking"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas at one path; `before`/`after` are types or empty."""

    path: str
    kind: Literal[
        "add", "widen", "absent", "alias", "narrow", "type", "required", "case_twin", "name",
        "flood", "closed", "truncate",
    ]  # fmt: skip
    verdict: Verdict
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.kind == "truncate":
            return "the source table was emptied (truncate)"
        if self.kind == "flood":
            return f"{self.path}: {self.after}"
        if self.kind == "closed":
            return f"{self.path or 'the record'} takes no more keys: new ones go to _rescued"
        if self.kind == "type" and not self.before:
            return f"new column {self.path} has {self.after}"
        if self.kind == "add":
            return f"new column {self.path} {self.after}"
        if self.kind == "alias":
            return f"{self.before} is another spelling of column {self.after}"
        if self.kind == "absent":
            return f"column {self.path} {self.before} is absent"
        if self.kind == "case_twin":
            return f"column {self.after} differs from {self.before} only in case"
        if self.kind == "name":
            return f"new column {self.path} {self.after} has a name the table cannot store"
        if self.kind == "required":
            return f"new column {self.path} {self.after} is not nullable"
        return f"column {self.path}: {self.before} became {self.after} ({self.kind})"


def diff(active: Struct, observed: Struct, *, partial: bool = False) -> list[Change]:
    """All changes from `active` to `observed`.

    `partial`: `observed` shows only some records, so absent columns mean nothing.
    """
    return list(_diff_struct(active, observed, "", partial))


def _diff_struct(active: Struct, observed: Struct, prefix: str, partial: bool) -> Iterator[Change]:
    by_fold = {key.casefold(): f.name for f in active.fields for key in f.keys}
    for new in observed.fields:
        path = f"{prefix}{new.name}"
        old = active.same(new)
        if old is not None:
            yield from _aliases(old, new, prefix)
            if new.closed and not old.closed:
                yield Change(path if new.keys else "", "closed", "automatic", "", str(old.type))
            yield from _diff_type(old.type, new.type, path, partial)
            continue
        # `_rescued` comes of no key, and a record may have that one.
        twin = by_fold.setdefault(new.name.casefold(), new.name) if new.keys else new.name
        known = without_unknown(new.type)
        if twin != new.name:
            yield Change(path, "case_twin", "breaking", f"{prefix}{twin}", path)
        elif not new.nullable:
            yield Change(path, "required", "breaking", "", str(new.type))
        elif twins := list(_twins_inside(new.type, path)):
            yield from twins
        elif known is not None and (why := why_unstorable(known)):
            yield Change(path, "type", "breaking", "", why)
        elif known is not None:
            yield Change(path, "add", "automatic", "", str(known))
            if new.closed and not new.keys:
                yield Change("", "closed", "automatic", "", str(active))
    if not partial:
        for old in active.fields:
            if observed.same(old) is None:
                yield Change(f"{prefix}{old.name}", "absent", "proposal", str(old.type), "")


def _aliases(old: Field, new: Field, prefix: str) -> Iterator[Change]:
    for alias in new.aliases:
        if alias not in old.keys:
            yield Change(f"{prefix}{alias}", "alias", "automatic", alias, f"{prefix}{old.name}")


def _twins_inside(kind: Type, path: str) -> Iterator[Change]:
    """Case twins within a column that is new itself."""
    while isinstance(kind, Array | Map):
        kind, path = (
            (kind.element, f"{path}[]") if isinstance(kind, Array) else (kind.value, f"{path}{{}}")
        )
    if isinstance(kind, Struct):
        inner = _diff_struct(Struct(), kind, f"{path}.", True)
        yield from (c for c in inner if c.kind == "case_twin")


def _diff_type(before: Type, after: Type, path: str, partial: bool) -> Iterator[Change]:
    if before in (after, UNKNOWN) or after == UNKNOWN:
        return
    if isinstance(before, Struct) and isinstance(after, Struct):
        yield from _diff_struct(before, after, f"{path}.", partial)
    elif isinstance(before, Array) and isinstance(after, Array):
        yield from _diff_type(before.element, after.element, f"{path}[]", partial)
    elif isinstance(before, Map) and isinstance(after, Map):
        yield from _diff_type(before.value, after.value, f"{path}{{}}", partial)
    elif widens(before, after):
        yield Change(path, "widen", "automatic", str(before), str(after))
    elif widens(after, before):
        yield Change(path, "narrow", "breaking", str(before), str(after))
    else:
        yield Change(path, "type", "breaking", str(before), str(after))

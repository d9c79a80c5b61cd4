"""Registered schemas that raw was read by, kept beside its log: raw needs no registry to be
understood."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from lake_platform.domain.layout import raw_schemas_prefix
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.registry import Declared
from lake_platform.domain.storage import ObjectStore


def keep(store: ObjectStore, table: str, declared: Iterable[Declared]) -> None:
    """Before the commit of what was read by them. What is there stays: a schema never changes."""
    for one in declared:
        key = _key(table, one.id)
        if store.head(key) is None:
            store.put(key, json.dumps(asdict(one)).encode())


def read(store: ObjectStore, table: str, commits: Iterable[RawCommit]) -> Iterator[Declared]:
    """Those of `commits`, by their ids. Raises: KeyError when one is gone."""
    for number in sorted({n for c in commits for o in c.objects for n in o.schemas}):
        plain = json.loads(store.get(_key(table, number)))
        references = tuple((name, text) for name, text in plain["references"])
        yield Declared(plain["id"], plain["kind"], plain["text"], references)


def _key(table: str, number: int) -> str:
    return f"{raw_schemas_prefix(table)}{number}.json"

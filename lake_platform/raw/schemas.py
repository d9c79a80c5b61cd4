"""Registered schemas that raw was read by, kept beside its log: raw needs no registry to be
understood."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from lake_platform.domain.layout import raw_schemas_prefix
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.registry import Declared, Registered
from lake_platform.domain.storage import ObjectStore


def keep(store: ObjectStore, table: str, declared: Iterable[Declared]) -> None:
    """Before the commit of what was read by them. What is there stays: a schema never changes; that
    another of its messages came is added."""
    for one in declared:
        key = _key(table, one.id)
        if store.head(key) is None:
            store.put(key, json.dumps(asdict(one)).encode())
        elif one.messages:
            known = _parsed(store.get(key))
            both = known.and_of(one)
            if both != known:
                store.put(key, json.dumps(asdict(both)).encode())


def read(store: ObjectStore, table: str, commits: Iterable[RawCommit]) -> Iterator[Declared]:
    """Those of `commits`, by their ids. Raises: KeyError when one is gone."""
    for number in sorted({n for c in commits for o in c.objects for n in o.schemas}):
        yield _parsed(store.get(_key(table, number)))


def _parsed(data: bytes) -> Declared:
    plain = json.loads(data)
    return Declared(
        plain["id"], plain["kind"], plain["text"],
        tuple((name, text) for name, text in plain["references"]),
        plain.get("compiled", ""), tuple(map(tuple, plain.get("messages", ()))),
        tuple(Registered(*place) for place in plain.get("registered", ())),
    )  # fmt: skip


def _key(table: str, number: int) -> str:
    return f"{raw_schemas_prefix(table)}{number}.json"

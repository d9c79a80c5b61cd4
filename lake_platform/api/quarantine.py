"""A bounded look into quarantine objects (their form: load/quarantine)."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from lake_platform.domain.layout import quarantine_prefix
from lake_platform.domain.ports import ObjectStore

_MAX_BYTES = 64 << 20  # of decompressed text in one answer, whatever an object claims to hold
_REASON = re.compile(rb'\A\{"reason":("(?:[^"\\]|\\.)*")')
_GZIP = 31


@dataclass(frozen=True, slots=True)
class QuarantineLook:
    """`by_reason` counts the listed objects only; `complete`: they are all there are and were
    read to their end."""

    by_reason: Mapping[str, int]
    objects: list[dict[str, object]]
    complete: bool


def look(store: ObjectStore, table: str, limit: int) -> QuarantineLook:
    infos = list(store.list(quarantine_prefix(table)))
    newest = sorted(infos, key=lambda info: info.modified_at, reverse=True)[:limit]
    reasons: Counter[str] = Counter()
    left, complete = _MAX_BYTES, len(newest) == len(infos)
    for info in newest:
        if left <= 0:
            complete = False
            break
        inflate = zlib.decompressobj(_GZIP)
        text = inflate.decompress(store.get(info.key), left)
        complete = complete and inflate.eof
        left -= len(text)
        reasons.update(_reasons(text))
    objects: list[dict[str, object]] = [
        {"key": i.key, "size_bytes": i.size, "modified_at": i.modified_at} for i in newest
    ]
    return QuarantineLook(dict(reasons), objects, complete)


def _reasons(text: bytes) -> list[str]:
    found = (_REASON.match(line) for line in text.splitlines())
    return [orjson.loads(match.group(1)) for match in found if match]

"""What the keys of an object say: spellings of one thing, data of a map, names of columns."""

from __future__ import annotations

from lake_platform.domain.names import column_name
from lake_platform.sight.seen import Seen

_BOTH_SPELLINGS = 0.01
_MAP_KEYS, _DATA_SHARE = 3, 0.8
_MANY_KEYS, _SPARSE = 100, 0.1


def spellings(seen: Seen, twins: str) -> list[list[str]]:
    """Keys that are to be one column, the most frequent spelling first; `twins` as `case_twins` of
    a dataset."""
    if twins == "split" or not seen.twins:
        return [[key] for key in seen.children]
    groups: dict[str, list[str]] = {}
    for key in seen.children:
        fold = key.casefold()
        both = twins == "merge" and seen.twins.get(fold, 0) > _BOTH_SPELLINGS * seen.objects
        groups.setdefault(f"={key}" if both else f"~{fold}", []).append(key)
    rank = {key: (-child.count, key.encode("utf-8", "surrogatepass"))
            for key, child in seen.children.items()}  # fmt: skip
    return [sorted(keys, key=lambda key: rank[key]) for keys in groups.values()]


def why_map(seen: Seen) -> str:
    """Why the keys of an object are data; empty when they are names."""
    distinct = seen.distinct_keys()
    if distinct >= _MAP_KEYS and (share := seen.data_share()) >= _DATA_SHARE:
        return f"{distinct} keys, {share:.0%} of them look like data"
    if distinct > _MANY_KEYS:
        present = sum(child.count for child in seen.every_child()) / distinct / seen.objects
        if present < _SPARSE:
            return f"{distinct} keys, each in {present:.1%} of the objects"
    return ""


def why_renamed(key: str, name: str, ours: bool) -> str:
    if ours:
        return "a name of ours"
    if name.startswith(f"{column_name(key)}_"):
        return "the name is that of another key"
    return "small letters were asked for" if column_name(key) == key else "not usable as a name"

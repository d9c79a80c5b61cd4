"""Names of columns, made from the keys that records have.

A name is ASCII letters, digits and `_`, no digit first: Avro, Hive, Glue, Athena and Spark all take
it. Names of one struct differ even where case does not count.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from lake_platform.domain.reserved import RESERVED_NOW

MAX_CHARS = 120
_SHORTEST_HASH = 6
_LEADING = {
    "+": "plus_", "-": "minus_", "@": "at_", "$": "dollar_", "#": "num_", "*": "star_", "%": "pct_",
}  # fmt: skip
_PLAIN = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_CHARS - 1}}}")
_OTHER = re.compile(r"[^A-Za-z0-9_]")


def never(_: str) -> bool:
    return False


def is_ours(name: str) -> bool:
    """Whether a root column of this name would be taken for one of the platform or of Hudi."""
    lowered = name.lower()
    return lowered.startswith(RESERVED_NOW) or lowered in ("_rescued", "_raw")


def column_name(key: str) -> str:
    """The name for a key that has its struct to itself; a key that is a good name stays as it is.

    Accents go; a leading sign becomes a word; what a name cannot have becomes `_`, each by itself.
    """
    return _fitted(key, _stem(key))


def assign(
    keys: Iterable[str],
    taken: Iterable[str] = (),
    reserved: Callable[[str], bool] = never,
    lower: bool = False,
) -> dict[str, str]:
    """A name for each of the new `keys` of one struct, whatever the keys are.

    No two names, nor a name and one of `taken`, are the same when case does not count. The order
    of `keys` means nothing. Where several keys would have one name, it goes to one that is that
    name already, else to the smallest by its bytes; the others get a hash of the key behind it. A
    name that is `reserved` gets `src` before it.
    """
    used = {folded for name in taken for folded in (name.lower(), name.casefold())}
    stems = {key: _allowed(_stem(key), reserved, lower) for key in keys}
    plain = {key: _fitted(key, stem) for key, stem in stems.items()}
    names: dict[str, str] = {}
    for key in sorted(stems, key=lambda key: (plain[key] != key, _bytes(key))):
        if plain[key].lower() not in used:
            names[key] = plain[key]
            used.add(plain[key].lower())
    for key in sorted(stems.keys() - names.keys(), key=_bytes):
        names[key] = next(n for n in _hashed(key, stems[key]) if n.lower() not in used)
        used.add(names[key].lower())
    return names


def _stem(key: str) -> str:
    """The name without a limit on its length."""
    if _PLAIN.fullmatch(key):
        return key
    # One character at a time: ordering the accents of a long text takes quadratic time.
    bare = "".join(c if c.isascii() else _without_accents(c) for c in key)
    if bare[:1] in _LEADING:
        bare = _LEADING[bare[0]] + bare[1:]
    name = _OTHER.sub("_", bare) or "c"
    return f"_{name}" if name[0].isdigit() else name


def _without_accents(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    return "".join(p for p in parts if not unicodedata.combining(p))


def _allowed(stem: str, reserved: Callable[[str], bool], lower: bool) -> str:
    name = stem.lower() if lower else stem
    return f"src{name}" if reserved(name) else name


def _fitted(key: str, stem: str) -> str:
    return stem if len(stem) <= MAX_CHARS else next(_hashed(key, stem))


def _hashed(key: str, stem: str) -> Iterator[str]:
    """Names with a hash of the key, a longer one each time, without end."""
    text = _bytes(key)
    while True:
        digits = hashlib.sha256(text).hexdigest()
        for length in range(_SHORTEST_HASH, len(digits) + 1):
            yield f"{stem[: MAX_CHARS - 1 - length]}_{digits[:length]}"
        text = digits.encode()


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")

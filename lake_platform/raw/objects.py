"""Raw objects: their lines, after they were held against the commit that names them."""

from __future__ import annotations

import hashlib

from isal import igzip

from lake_platform.domain.offsets import RawObject
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import CorruptRawError


def read_text(store: ObjectStore, raw: RawObject) -> bytes:
    """A raw object's lines, after checksum and count were held against the commit.

    Raises: CorruptRawError.
    """
    try:
        data = store.get(raw.key)
    except KeyError:
        raise CorruptRawError(raw.key, "it is gone") from None
    if hashlib.sha256(data).hexdigest() != raw.sha256:
        raise CorruptRawError(raw.key, "its sha256 is not the committed one")
    text: bytes = igzip.decompress(data)
    lines = text.count(b"\n")
    if lines != raw.records:
        raise CorruptRawError(raw.key, f"it has {lines} lines, not {raw.records}")
    return text


def split_lines(text: bytes) -> list[bytes]:
    """Not splitlines(): that also splits at characters that are fine inside a value."""
    lines = text.split(b"\n")
    lines.pop()  # every line ends in a newline
    return lines


def read_lines(store: ObjectStore, raw: RawObject) -> list[bytes]:
    """Raises: CorruptRawError."""
    return split_lines(read_text(store, raw))

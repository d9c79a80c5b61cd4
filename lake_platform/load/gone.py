"""Rows that records take away: by a tombstone, a change event, or a key that is another now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lake_platform.domain.batches import Delete
from lake_platform.load.keys import TombstoneKeys
from lake_platform.records.conform import head_of, value_bytes
from lake_platform.records.opened import Opened


class Gone:
    """Adds to `deletes`."""

    def __init__(self, keys: TombstoneKeys, deletes: list[Delete]) -> None:
        self._keys, self._deletes = keys, deletes

    def delete(
        self, line: bytes, texts: Sequence[str], unless: Mapping[str, Any] | None = None
    ) -> bool:
        """By the first of `texts` that gives a key; whether one does. `unless`: the key of the row
        that the record gives as well."""
        found = (self._keys.key_of(text) for text in texts)
        key = next((k for k in found if k is not None), None)
        if key is None or key == unless:
            return False
        head = head_of(line)
        order = head.timestamp if head.order is None else head.order
        self._deletes.append(
            Delete(head.partition, head.offset, order, key, beside=unless is not None)
        )
        return True

    def let_go(self, line: bytes, opened: Opened) -> None:
        """Of a row that may have had another key."""
        after = self._keys.key_of((value_bytes(opened.data) or b"").decode())
        if after is not None:
            self.delete(line, opened.keys, unless=after)

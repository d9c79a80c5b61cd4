"""The port of the object storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from lake_platform.errors import StorageUnavailableError


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    size: int
    modified_at: int


class ObjectStore(Protocol):
    """Keys are relative to the storage root. Writes are visible at once and whole.

    Every method raises StorageUnavailableError when the store does not answer.
    """

    def get(self, key: str) -> bytes:
        """Raises: KeyError when there is no such object."""
        ...

    def put(self, key: str, data: bytes) -> None: ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Puts if absent; False when the key is taken, with nothing changed."""
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Objects under `prefix` with key > `after`, in key order."""
        ...

    def head(self, key: str) -> ObjectInfo | None: ...

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes; keys that are not there are fine."""
        ...

    def move(self, source: str, target: str) -> None:
        """Replaces `target`. Raises: KeyError when `source` is not there."""
        ...

    def url(self, key: str) -> str:
        """The URL Spark reads the key by (`file:` or `s3a:`)."""
        ...


def put_first(store: ObjectStore, key: str, data: bytes) -> bool:
    """`put_new` whose reply may be lost: False when something is at `key`, perhaps our own, which
    the nonce in it tells.

    Raises: StorageUnavailableError when nothing is there.
    """
    try:
        return store.put_new(key, data)
    except StorageUnavailableError:
        if store.head(key) is None:
            raise
        return False

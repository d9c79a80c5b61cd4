"""An object store in a dict on the simulated clock, held to tests/contract/test_object_store.py."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from lake_platform.domain.ports import Clock
from lake_platform.domain.storage import ObjectInfo
from lake_platform.errors import StorageUnavailableError


class DictStore:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.objects: dict[str, tuple[bytes, int]] = {}
        self._keys: list[str] = []  # sorted

    def get(self, key: str) -> bytes:
        return self.objects[key][0]

    def put(self, key: str, data: bytes) -> None:
        self._check_folders(key)
        if key not in self.objects:
            insort(self._keys, key)
        self.objects[key] = (data, self._clock())

    def put_new(self, key: str, data: bytes) -> bool:
        # As a file system: no file where a folder is.
        taken = key in self.objects or (key.endswith("/lock") and any(self.list(key)))
        return not taken and self._made(key, data)

    def _made(self, key: str, data: bytes) -> bool:
        """Whether this call made the key; dict.setdefault is one act, also among threads."""
        made = (data, self._clock())
        if self.objects.setdefault(key, made) is not made:
            return False
        insort(self._keys, key)
        return True

    def _check_folders(self, key: str) -> None:
        """As a file system: nothing is put below a file. Hudi's fence rests on it."""
        folder = key.rsplit("/", 1)[0]
        if folder in self.objects:
            raise StorageUnavailableError(f"{folder!r} is a file, so {key!r} cannot be put")

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        # A prefix is a folder, as obstore takes it.
        folder = prefix.rstrip("/") + "/" if prefix else ""
        first = max(bisect_left(self._keys, folder), bisect_right(self._keys, after))
        found = self._keys[first : bisect_left(self._keys, folder + "\U0010ffff")]
        return iter([ObjectInfo(k, len(self.objects[k][0]), self.objects[k][1]) for k in found])

    def head(self, key: str) -> ObjectInfo | None:
        held = self.objects.get(key)
        return None if held is None else ObjectInfo(key, len(held[0]), held[1])

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            if self.objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def move(self, source: str, target: str) -> None:
        held = self.objects[source]
        self.delete([source, target])
        self.objects[target] = held
        insort(self._keys, target)

    def url(self, key: str) -> str:
        return f"memory:/{key}"

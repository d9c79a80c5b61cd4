"""An object store in a dict on the simulated clock, held to tests/contract/test_object_store.py."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from lake_platform.domain.ports import Clock, ObjectInfo
from lake_platform.errors import StorageUnavailableError


class DictStore:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.objects: dict[str, tuple[bytes, int]] = {}

    def get(self, key: str) -> bytes:
        return self.objects[key][0]

    def put(self, key: str, data: bytes) -> None:
        self._check_folders(key)
        self.objects[key] = (data, self._clock())

    def put_new(self, key: str, data: bytes) -> bool:
        if key.endswith("/lock") and any(k.startswith(f"{key}/") for k in self.objects):
            return False  # a folder is in its place
        return self.objects.setdefault(key, made := (data, self._clock())) is made

    def _check_folders(self, key: str) -> None:
        """As a file system: nothing is put below a file. Hudi's fence rests on it."""
        folder = key.rsplit("/", 1)[0]
        if folder in self.objects:
            raise StorageUnavailableError(f"{folder!r} is a file, so {key!r} cannot be put")

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        # A prefix is a folder, as obstore takes it.
        folder = prefix.rstrip("/") + "/" if prefix else ""
        found = sorted(k for k in self.objects if k.startswith(folder))
        if after:
            found = found[bisect_right(found, after) :]
        return iter([ObjectInfo(k, len(self.objects[k][0]), self.objects[k][1]) for k in found])

    def head(self, key: str) -> ObjectInfo | None:
        held = self.objects.get(key)
        return None if held is None else ObjectInfo(key, len(held[0]), held[1])

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def move(self, source: str, target: str) -> None:
        self.objects[target] = self.objects.pop(source)

    def url(self, key: str) -> str:
        return f"memory:/{key}"

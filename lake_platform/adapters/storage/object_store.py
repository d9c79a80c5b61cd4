"""Object storage through obstore: local disk, memory, S3, GCS and Azure behind one client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

from lake_platform.domain.storage import ObjectInfo
from lake_platform.errors import InvalidFieldError, StorageUnavailableError

_SCHEMES = ("file", "memory", "s3", "gs", "az")
# Seconds, not minutes: a dead endpoint must not hang a run (stack: S3A alone takes ten).
RETRY_WAITS: Mapping[str, float] = {"init_backoff": 0.1, "max_backoff": 2.0}
# What the operating system says of a disk or a quota that is used up.
_FULL = ("No space left on device", "Disk quota exceeded")


def _retry() -> dict[str, Any]:
    waits = {name: timedelta(seconds=seconds) for name, seconds in RETRY_WAITS.items()}
    return {
        "max_retries": 4,
        "retry_timeout": timedelta(seconds=20),
        "backoff": {"base": 2, **waits},
    }


class ObstoreObjectStore:
    """An ObjectStore over one obstore store whose root is the storage root."""

    def __init__(self, store: Any, spark_root: str) -> None:
        self._store = store
        self._spark_root = spark_root.rstrip("/")

    def get(self, key: str) -> bytes:
        with self._translated(key):
            return bytes(obstore.get(self._store, key).bytes())

    def put(self, key: str, data: bytes) -> None:
        with self._translated(key):
            obstore.put(self._store, key, data)

    def put_new(self, key: str, data: bytes) -> bool:
        try:
            with self._translated(key):
                # Multipart uploads cannot carry the condition.
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
        except _TakenError:
            return self._is_taken(key)
        return True

    def _is_taken(self, key: str) -> bool:
        """False, as `put_new` has it, when there is an object. S3 also answers 409 while another
        put of the key goes on, which may fail yet; obstore says "taken" for both."""
        if self.head(key) is None:
            raise StorageUnavailableError(
                f"object store did not put {key!r}: another put of it was going on, and came to "
                f"nothing; try again"
            )
        return False

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        infos: list[ObjectInfo] = []
        with self._translated(prefix):
            for chunk in obstore.list(self._store, prefix, offset=after or None, chunk_size=1000):
                infos += [
                    ObjectInfo(m["path"], m["size"], int(m["last_modified"].timestamp() * 1000))
                    for m in chunk
                ]
        return iter(sorted(infos, key=lambda info: info.key))

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with self._translated(key):
                meta = obstore.head(self._store, key)
        except KeyError:
            return None
        modified = int(meta["last_modified"].timestamp() * 1000)
        return ObjectInfo(meta["path"], meta["size"], modified)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                with self._translated(key):
                    obstore.delete(self._store, key)
            except KeyError:
                continue

    def move(self, source: str, target: str) -> None:
        with self._translated(source):
            obstore.rename(self._store, source, target, overwrite=True)

    def url(self, key: str) -> str:
        return f"{self._spark_root}/{key}"

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise _TakenError from None
        except (NotFoundError, FileNotFoundError):
            raise KeyError(key) from None
        except (BaseError, OSError) as error:
            why = _first_line(error)
            raise StorageUnavailableError(
                f"object store did not serve {key!r}: {type(error).__name__}: {why}; "
                f"{self._remedy(why)}"
            ) from error

    def _remedy(self, why: str) -> str:
        if any(said in why for said in _FULL):
            return f"make space on {self._spark_root} and try again, what is stored was not changed"
        return "a retry is safe, so try again, and check LAKE_STORAGE_URL and its credentials"


def open_store(url: str, options: Mapping[str, str] | None = None) -> ObstoreObjectStore:
    """Opens the storage root `url`; creates the directory of a `file:` root.

    Raises:
        InvalidFieldError: a scheme or option that obstore does not have.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise InvalidFieldError(
            "storage_url",
            f"{parts.scheme}:...",
            "unknown scheme",
            f"use one of {', '.join(_SCHEMES)}",
        )
    if parts.scheme == "memory":
        return ObstoreObjectStore(obstore.store.MemoryStore(), "memory:")
    if parts.scheme == "file":
        root = Path(unquote(parts.path))
        root.mkdir(parents=True, exist_ok=True)
        return ObstoreObjectStore(obstore.store.LocalStore(root), root.as_uri())
    config = dict(options or {})
    plain_http = any(v.startswith("http://") for v in config.values())
    try:
        store = obstore.store.from_url(
            url,
            config=cast(Any, config),
            client_options={"allow_http": plain_http},
            retry_config=cast(Any, _retry()),
        )
    except BaseException as error:  # obstore panics, which is no Exception, on an unknown option
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise InvalidFieldError(
            "storage_options",
            sorted(config),
            f"not accepted for {parts.scheme}: {str(error).splitlines()[0]}",
            "use the object store's own names, such as endpoint and region",
        ) from None
    return ObstoreObjectStore(store, url.replace("s3://", "s3a://", 1))


class _TakenError(Exception):
    pass


def _first_line(error: Exception) -> str:
    """obstore adds its internals below, a page of them."""
    return next(iter(str(error).splitlines()), "")

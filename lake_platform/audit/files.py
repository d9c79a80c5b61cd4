"""Raw, logs, quarantine and tables as files of the local disk or of S3, by a client that did not
write them (pyarrow's). It lists, tells sizes and reads; nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lake_platform.audit.place import S3Place, s3_place
from lake_platform.audit.sources import File
from lake_platform.errors import (
    LakeError,
    SetupError,
    StorageUnavailableError,
    UnsupportedError,
)

# Seconds: a server that does not answer ends an audit within a minute.
_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 10.0
_TRIES = 3
# The writers' client puts under such a name first; a killed one leaves it.
_HALF_PUT = re.compile(r"#\d+$")
_AWS = "AWS Error "
_NO_ANSWER = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT")
_NOT_ALLOWED = (
    "ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_SIGNATURE",
    "INVALID_CLIENT_TOKEN_ID", "UNRECOGNIZED_CLIENT", "MISSING_AUTHENTICATION_TOKEN",
    "REQUEST_EXPIRED", "ExpiredToken", "InvalidToken",
)  # fmt: skip
_REMEDY = "check LAKE_STORAGE_URL, and endpoint and region in LAKE_STORAGE_OPTIONS, and try again"
_TRUST = "name the file of your authority's certificates in SSL_CERT_FILE; "
_KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to one that may list and read, or run under a "
    "role that may"
)


class ArrowFiles:
    """`base`: path of the root in `system`; `place` is None on a local disk."""

    def __init__(self, system: Any, base: str, root: str, place: S3Place | None = None) -> None:
        self._system, self._base, self.root, self._place = system, base, root, place

    def list(self, prefix: str) -> Iterator[File]:
        from pyarrow.fs import FileSelector

        wanted = FileSelector(self._path(prefix).rstrip("/"), allow_not_found=True, recursive=True)
        with self.reading(prefix):
            found = self._system.get_file_info(wanted)
        start = len(self._base) + 1
        files = (File(f.path[start:], f.size) for f in found if f.is_file)
        return iter(sorted((f for f in files if not _HALF_PUT.search(f.key)), key=lambda f: f.key))

    def size(self, key: str) -> int | None:
        with self.reading(key):
            found = self._system.get_file_info(self._path(key))
        return int(found.size) if found.is_file else None

    def read(self, key: str) -> bytes:
        with self.open(key) as file, self.reading(key):
            return bytes(file.read())

    def open(self, key: str) -> Any:
        """A file of Arrow, read by ranges. Raises: KeyError when it is not there."""
        with self.reading(key):
            return self._system.open_input_file(self._path(key))

    def dataset(self, keys: Sequence[str], schema: Any, root: str) -> Any:
        """Arrow's dataset of Parquet files; folders below `root` give columns of `schema` that are
        not in the files."""
        import pyarrow.dataset as ds

        return ds.dataset(
            [self._path(key) for key in keys],
            schema=schema,
            format="parquet",
            filesystem=self._system,
            partitioning="hive",
            partition_base_dir=self._path(root),
        )

    def hudi_address(self, key: str) -> tuple[str, Mapping[str, str]]:
        """URI and options by which hudi-rs reads the folder `key`."""
        return f"{self.root}/{key}".rstrip("/"), self._place.options if self._place else {}

    @contextmanager
    def reading(self, key: str, *, content: bool = False) -> Iterator[None]:
        """Errors of the storage, as errors that say what to do. `content`: what is wrong with a
        file itself, for which Arrow's readers raise an OSError too, stays one."""
        try:
            yield
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as error:
            text = next(iter(str(error).splitlines()), "")
            if content and error.errno is None and _AWS not in text:
                raise
            raise self._trouble(key, text) from None

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}"

    def _trouble(self, key: str, text: str) -> LakeError:
        place = self._place
        if place is None:
            return StorageUnavailableError(f"{self.root}: cannot read {key!r}: {text}")
        why = text.partition(_AWS)[2] or text
        if "NO_SUCH_BUCKET" in why:
            return SetupError(f"there is no bucket {place.bucket!r} at {place.server}; {_REMEDY}")
        where = f"storage {self.root} at {place.server}"
        if any(name in why for name in _NO_ANSWER):
            trust = _TRUST if "certificate" in why else ""
            return StorageUnavailableError(f"{where} does not answer: {why}; {trust}{_REMEDY}")
        if any(name in why for name in _NOT_ALLOWED):
            who = "the access key" if place.key_id else "a reader without an access key"
            return SetupError(f"{where} refuses {who}: {why}; {_KEYS}")
        return StorageUnavailableError(f"{where} did not serve {key!r}: {why}; {_REMEDY}")


def open_files(url: str, options: Mapping[str, str], environ: Mapping[str, str]) -> ArrowFiles:
    """The storage root `url`, looked at once, so that a wrong setting is said at once.

    Raises:
        UnsupportedError: neither a local disk nor S3.
        SetupError: there is no such directory or bucket, or it may not be read.
        StorageUnavailableError: it does not answer.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return _local(url)
    if scheme == "s3":
        return _s3(s3_place(url, options, environ))
    raise UnsupportedError(
        f"storage {scheme}: the audit reads file: and s3: only; copy or mount the storage root and "
        f"audit there with LAKE_STORAGE_URL=file:///..."
    )


def _local(url: str) -> ArrowFiles:
    from pyarrow.fs import LocalFileSystem

    path = Path(unquote(urlsplit(url).path))
    if not path.is_dir():
        raise SetupError(f"there is no storage at {url}; check LAKE_STORAGE_URL")
    return ArrowFiles(LocalFileSystem(), str(path), path.as_uri())


def _s3(place: S3Place) -> ArrowFiles:
    from pyarrow.fs import AwsStandardS3RetryStrategy, FileSelector, S3FileSystem

    system = S3FileSystem(
        access_key=place.key_id or None,
        secret_key=place.secret or None,
        session_token=place.token or None,
        anonymous=place.unsigned,
        region=place.region,
        endpoint_override=place.endpoint or None,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_SILENCE_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )
    files = ArrowFiles(system, place.base, place.root, place)
    with files.reading(""):
        try:
            system.get_file_info(FileSelector(place.base))
        except FileNotFoundError:
            return files  # a bucket in which nothing was written yet
    return files

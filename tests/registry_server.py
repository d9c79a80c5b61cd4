"""A real schema registry for tests: Apicurio, with Confluent's API, in memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lake_platform.embedded.ivy import Archive, Coordinate, Ivy, RepositoryUnreachableError
from lake_platform.embedded.ports import free_port
from tests.answering import wait_for_answer

_VERSION = "2.6.13.Final"
_ARCHIVE = Archive(Coordinate("io.apicurio", "apicurio-registry-app", _VERSION), "all", "zip")
_SHA256 = "d88014c1addff1fc585e1e9510fc41276473726340f4e0997353b46342d3532b"


def ensure(root: Path, java_home: Path) -> Path:
    """The runner's jar; fetched once, 142 MB. Skips the test where it cannot be fetched."""
    home = root / f"apicurio-{_VERSION}"
    if not home.is_dir():
        fresh = root / f".apicurio-{os.getpid()}"
        try:
            archive = Ivy(java_home, fresh / "ivy", os.environ).fetch(_ARCHIVE, fresh)
        except RepositoryUnreachableError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            pytest.skip(f"no registry to test with: {error}")
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == _SHA256
        with zipfile.ZipFile(archive) as files:
            files.extractall(fresh / "in")
        (fresh / "in").rename(home)
        shutil.rmtree(fresh)
    return home / f"apicurio-registry-app-{_VERSION}-runner.jar"


@contextmanager
def registry(root: Path, java_home: Path, log: Path) -> Iterator[str]:
    """The URL of its Confluent API."""
    jar, port = ensure(root, java_home), free_port()
    command = [str(java_home / "bin" / "java"), "-Xmx256m", "-jar", str(jar)]
    environ = os.environ | {"QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)}
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=environ, cwd=jar.parent, stdout=out, stderr=out)
    try:
        wait_for_answer(f"{url}/subjects", server, log)
        yield url
    finally:
        server.terminate()
        server.wait(30)

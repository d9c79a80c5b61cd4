"""The audit over TLS with a certificate of one's own authority: both of its S3 clients, pyarrow's
and hudi-rs', trust what SSL_CERT_FILE names."""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.audit_support import parquet_lab, without_spark
from tests.contract.seaweed import s3_url
from tests.integration.s3_copy import Server, put_all
from tests.support import Lab
from tests.unit.audit.test_tables import PROPERTIES

__all__ = ["s3_url"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
_REPO = Path(__file__).parents[2]


class _Tunnel(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        # A client that does not trust the certificate hangs up in the handshake.
        with (
            suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", self.server.target)) as inner,
        ):
            back = Thread(target=_pump, args=(inner, outer))
            back.start()
            _pump(outer, inner)
            back.join()


class _Server(socketserver.ThreadingTCPServer):
    context: ssl.SSLContext
    target: int


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `ca.pem`, and with `host.pem` and `host.key` signed by it."""
    openssl, home = shutil.which("openssl"), tmp_path_factory.mktemp("ca")
    if openssl is None:
        pytest.skip("openssl is not installed")
    (home / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    new = ["-newkey", "rsa:2048", "-nodes"]
    for command in (
        ["req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests"],
        ["req", *new, "-keyout", "host.key", "-out", "host.csr", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "host.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-extfile", "ext", "-out", "host.pem"],
    ):  # fmt: skip
        subprocess.run([openssl, *command], cwd=home, check=True, capture_output=True)
    return home


@pytest.fixture
def tls(authority: Path, s3_url: Server) -> Iterator[str]:
    """An endpoint that speaks TLS in front of the S3 server."""
    with _Server(("127.0.0.1", 0), _Tunnel) as server:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(authority / "host.pem", authority / "host.key")
        server.target = urlsplit(s3_url[1]["endpoint"]).port or 80
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A Parquet table with rows, and a Hudi table whose first write was killed."""
    without_spark(monkeypatch)
    lab = parquet_lab(tmp_path / "lab")
    lab.register("hudi")
    for table in ("t", "hudi"):
        lab.send({"id": 1, "name": "n"}, table=table)
        lab.dump(table)
    lab.load("t")
    home = lab.home / "storage/lake/hudi/.hoodie"
    (home / "timeline").mkdir(parents=True)
    (home / "hoodie.properties").write_text(PROPERTIES)
    (home / "timeline/20261124222948766.commit.requested").write_bytes(b"")
    yield lab
    lab.close()


@pytest.fixture
def lake(lab: Lab, tls: str, s3_url: Server) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command in a process of its own: trust is read when a process starts."""
    options = json.dumps({**s3_url[1], "endpoint": tls})
    settings = {
        "LAKE_HOME": str(lab.home), "LAKE_STORAGE_OPTIONS": options, "PYTHONPATH": str(_REPO),
        "LAKE_STORAGE_URL": put_all(lab.home / "storage", s3_url),
    }  # fmt: skip

    def run(table: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = "from lake_platform.cli.main import app; app()"
        arguments: dict[str, Any] = {"capture_output": True, "text": True, "cwd": lab.home}
        return subprocess.run(
            [sys.executable, "-c", command, "audit", table, "--json"],
            env={**os.environ, **settings, **more}, timeout=60, check=False, **arguments,
        )  # fmt: skip

    return run


def test_it_reads_what_it_trusts(
    lake: Callable[..., subprocess.CompletedProcess[str]], authority: Path
) -> None:
    for table, verdict in (("t", "sound"), ("hudi", "pending")):
        done = lake(table, SSL_CERT_FILE=str(authority / "ca.pem"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["verdict"] == verdict


def test_it_says_what_it_does_not_trust(
    lake: Callable[..., subprocess.CompletedProcess[str]], tls: str
) -> None:
    done = lake("t")
    assert done.returncode == 1
    assert f"at {tls} does not answer" in done.stderr
    assert "certificate" in done.stderr
    assert "SSL_CERT_FILE" in done.stderr

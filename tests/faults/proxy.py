"""A reverse proxy in front of a real S3 server that makes faults by script.

One rule at a time: from the `first` request that the rule's kind can hit, `count` of them are hit.
Requests are numbered from the moment the rule was set, so a script is the same each time.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faults.kinds import Kind

_HOP = frozenset(["connection", "keep-alive", "transfer-encoding", "expect", "content-length"])
_ALWAYS = 1 << 30


@dataclass
class Rule:
    """`where` is searched in "METHOD /path". `seen`: the requests that the kind can hit there, as
    text; `hit`: those that were."""

    kind: Kind
    first: int = 1
    count: int = _ALWAYS
    where: str = ""
    seen: list[str] = field(default_factory=list)
    hit: list[str] = field(default_factory=list)

    def meets(self, method: str, path: str, conditional: bool) -> bool:
        request = f"{method} {path}"
        if not (self.kind.hits(method, conditional) and re.search(self.where, request)):
            return False
        self.seen.append(request)
        met = self.first <= len(self.seen) < self.first + self.count
        if met:
            self.hit.append(request)
        return met


class FaultProxy:
    """Listens on `port`, hands all requests to `upstream` (host, port) but for those a rule meets.

    A client must sign for this proxy's own address; the signature stays valid behind it, because
    the Host header is passed on as it came.
    """

    def __init__(self, upstream: tuple[str, int], port: int = 0) -> None:
        self.upstream = upstream
        self.port = port
        self.requests = 0
        self.stopping = threading.Event()
        self.closed = threading.Event()
        self._rule: Rule | None = None
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._ending: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.stopping.clear()
        self.closed.clear()
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """From now on a connection is refused; those there are get cut."""
        if self._server is None or self._thread is None:
            return
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.cut_all()
        self._server.server_close()
        self._server = None
        self.closed.set()

    def go_down(self) -> None:
        """As `stop`, from within a request; the end of the rule brings it up again."""
        with self._lock:
            if self._ending is None:
                self._ending = threading.Thread(target=self.stop)
                self._ending.start()

    @contextlib.contextmanager
    def rule(
        self, kind: Kind, first: int = 1, count: int = _ALWAYS, where: str = ""
    ) -> Iterator[Rule]:
        rule = Rule(kind, first, count, where)
        with self._lock:
            self._rule = rule
        try:
            yield rule
        finally:
            with self._lock:
                self._rule = None
            if self._ending is not None:
                self._ending.join()
                self._ending = None
                self.start()

    def fault(self, method: str, path: str, conditional: bool) -> Kind | None:
        """What shall happen to this request."""
        with self._lock:
            self.requests += 1
            rule = self._rule
            return rule.kind if rule and rule.meets(method, path, conditional) else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        with self._guard:
            held = list(self._open)
        for connection in held:
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what the faults are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    _behind: http.client.HTTPConnection | None = None

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        conditional = self.command == "PUT" and "If-None-Match" in self.headers
        kind = self.server.proxy.fault(self.command, self.path, conditional)
        if kind is None:
            self._reply(*self._forward(body))
        else:
            self._fail(kind, body)

    def finish(self) -> None:
        if self._behind is not None:
            self._behind.close()
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test shows what it wants to know."""

    def _fail(self, kind: Kind, body: bytes) -> None:
        if kind.delay_seconds:
            self.server.proxy.stopping.wait(kind.delay_seconds)
        if kind.down:
            self.server.proxy.go_down()
        answer = self._forward(body) if kind.forwarded else None
        if answer is not None and kind.status < 0:
            self._reply(*answer)
        elif answer is not None and kind.half:
            self._reply(*answer, half=True)
        elif kind.status > 0:
            text = f"<Error><Code>{kind.code}</Code><Message>a fault of the test</Message></Error>"
            self._reply(kind.status, {"Content-Type": "application/xml"}, text.encode())
        else:
            self._cut()

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._behind is None:
            self._behind = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        headers["Content-Length"] = str(len(body))
        self._behind.request(self.command, self.path, body, headers)
        answer = self._behind.getresponse()
        data = answer.read()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
        if self.command == "HEAD":
            kept["Content-Length"] = answer.getheader("Content-Length") or "0"
        return answer.status, kept, data

    def _reply(self, status: int, headers: dict[str, str], data: bytes, half: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status not in {204, 304}:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self._cut()

    def _cut(self) -> None:
        self.wfile.flush()
        _cut(self.connection)
        self.close_connection = True


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

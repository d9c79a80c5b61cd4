"""The proxy makes the faults it says it makes: told by a plain client, without the store's own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.faults.kinds import APPLIED_500, CONFLICT, DOWN, ERROR_500, REPLY_LOST, TRUNCATED
from tests.faults.proxy import FaultProxy

_BODY = b"0123456789"


class Counting(BaseHTTPRequestHandler):
    """Answers `_BODY` and keeps what came."""

    came: list[str]

    def do_GET(self) -> None:
        self.came.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY)

    do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def came() -> list[str]:
    return []


@pytest.fixture
def proxy(came: list[str]) -> Iterator[FaultProxy]:
    handler = type("Handler", (Counting,), {"came": came})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        opened = FaultProxy(("127.0.0.1", server.server_address[1]))
        opened.start()
        yield opened
        opened.stop()
        server.shutdown()
        thread.join()


def ask(proxy: FaultProxy, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        client.request(method, "/k", headers=headers)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def test_without_a_rule_it_passes_on(proxy: FaultProxy, came: list[str]) -> None:
    assert ask(proxy) == (200, _BODY)
    assert ask(proxy, "PUT") == (200, _BODY)
    assert came == ["GET", "PUT"]


def test_only_the_requests_of_the_rule_are_hit(proxy: FaultProxy, came: list[str]) -> None:
    with proxy.rule(ERROR_500, first=2, count=2) as rule:
        assert [ask(proxy)[0] for _ in range(4)] == [200, 500, 500, 200]
    assert rule.hit == ["GET /k"] * 2
    assert len(rule.seen) == 4
    assert len(came) == 2
    with proxy.rule(ERROR_500, where="^PUT /k") as rule:
        assert [ask(proxy, method)[0] for method in ("GET", "PUT")] == [200, 500]
    assert rule.seen == ["PUT /k"]


def test_applied_means_that_the_server_got_it(proxy: FaultProxy, came: list[str]) -> None:
    with proxy.rule(REPLY_LOST), pytest.raises(http.client.RemoteDisconnected):
        ask(proxy, "PUT")
    with proxy.rule(APPLIED_500):
        assert ask(proxy, "PUT")[0] == 500
    assert came == ["PUT", "PUT"]


def test_a_read_is_cut_short_of_its_length(proxy: FaultProxy) -> None:
    with proxy.rule(TRUNCATED) as rule, pytest.raises(http.client.IncompleteRead) as caught:
        ask(proxy)
    assert (caught.value.partial, caught.value.expected) == (_BODY[:5], 5)
    assert rule.hit == ["GET /k"]
    with proxy.rule(TRUNCATED) as rule:
        assert ask(proxy, "PUT") == (200, _BODY)
    assert rule.seen == []


def test_conflicts_meet_conditional_puts_only(proxy: FaultProxy, came: list[str]) -> None:
    with proxy.rule(CONFLICT):
        assert ask(proxy, "PUT")[0] == 200
        assert ask(proxy, "PUT", **{"If-None-Match": "*"})[0] == 409
    assert came == ["PUT"]


def test_down_is_a_closed_port_until_the_rule_ends(proxy: FaultProxy) -> None:
    with proxy.rule(DOWN):
        with pytest.raises(ConnectionError):
            ask(proxy)
        with pytest.raises(ConnectionError):
            ask(proxy)
        assert proxy.closed.wait(10)
        with pytest.raises(ConnectionRefusedError):
            ask(proxy)
    assert ask(proxy)[0] == 200

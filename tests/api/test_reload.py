"""Dagster's reload over GraphQL, against a small server that answers as Dagster does."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from lake_platform.adapters.dagster import graphql as dagster_graphql
from lake_platform.adapters.dagster.graphql import DagsterGraphQL, Reloader
from lake_platform.errors import DagsterUnavailableError, ReloadError

LOADED = {
    "__typename": "WorkspaceLocationEntry",
    "loadStatus": "LOADED",
    "locationOrLoadError": {"__typename": "RepositoryLocation"},
}
BROKEN = {
    "__typename": "WorkspaceLocationEntry",
    "loadStatus": "LOADED",
    "locationOrLoadError": {"__typename": "PythonError", "message": "code server died"},
}


class FakeDagster:
    """`replies` are given in order, then LOADED; `gate` holds reloads back while it is cleared."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.reloads = self.running = self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"dagster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, query: str) -> dict[str, Any]:
        if "workspaceOrError" in query:
            entries = [{"name": "lake_platform.definitions"}]
            return {"workspaceOrError": {"__typename": "Workspace", "locationEntries": entries}}
        with self._lock:
            self.reloads += 1
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
            reply = self.replies.pop(0) if self.replies else LOADED
        self.reached.set()
        self.gate.wait(10)
        with self._lock:
            self.running -= 1
        return {"reloadRepositoryLocation": reply}

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    dagster: FakeDagster

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        query = json.loads(self.rfile.read(length))["query"]
        body = json.dumps({"data": self.dagster.answer(query)}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def dagster() -> Iterator[FakeDagster]:
    fake = FakeDagster()
    yield fake
    fake.close()


@pytest.fixture
def reloader(dagster: FakeDagster) -> Iterator[Reloader]:
    found = Reloader(DagsterGraphQL(dagster.url), quiet_seconds=0.05, deadline_seconds=10)
    yield found
    dagster.gate.set()
    found.close()


def test_reload_names_the_locations(dagster: FakeDagster) -> None:
    assert DagsterGraphQL(dagster.url).reload() == ["lake_platform.definitions"]


def test_broken_location_is_an_error(dagster: FakeDagster) -> None:
    dagster.replies = [BROKEN]
    with pytest.raises(ReloadError, match="code server died"):
        DagsterGraphQL(dagster.url).reload()


def test_absent_dagster_is_named() -> None:
    with pytest.raises(DagsterUnavailableError, match=r"127\.0\.0\.1:1"):
        DagsterGraphQL("http://127.0.0.1:1").reload()


def test_many_changes_are_one_reload(dagster: FakeDagster, reloader: Reloader) -> None:
    for _ in range(20):
        reloader.notify("orders")
    assert reloader.wait_idle(10)
    assert dagster.reloads == 1


def test_change_during_a_reload_gets_one_more_and_never_two_at_once(
    dagster: FakeDagster, reloader: Reloader
) -> None:
    dagster.gate.clear()
    reloader.notify("orders")
    assert dagster.reached.wait(10)
    for _ in range(5):
        reloader.notify("orders")
    dagster.gate.set()
    assert reloader.wait_idle(10)
    assert (dagster.reloads, dagster.most_at_once) == (2, 1)


def test_reload_is_repeated_until_the_location_is_healthy(
    dagster: FakeDagster, reloader: Reloader
) -> None:
    dagster.replies = [BROKEN]
    reloader.notify("orders")
    assert reloader.wait_idle(10)
    assert dagster.reloads == 2


def test_absent_dagster_never_disturbs_who_notifies() -> None:
    reloader = Reloader(DagsterGraphQL("http://127.0.0.1:1"), 0.01, deadline_seconds=0.0)
    reloader.notify("orders")
    assert reloader.wait_idle(10)
    reloader.close()


def test_the_same_failure_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_graphql, "_RETRY_SECONDS", 0.01)
    seconds = itertools.count()  # one more each time somebody looks: five tries, then the deadline
    monkeypatch.setattr(dagster_graphql, "time", SimpleNamespace(monotonic=seconds.__next__))
    reloader = Reloader(DagsterGraphQL("http://127.0.0.1:1"), 0.0, deadline_seconds=5)
    with structlog.testing.capture_logs() as lines:
        reloader.notify("orders")
        assert reloader.wait_idle(10.0)
    reloader.close()
    levels = [line["log_level"] for line in lines]
    assert sorted(levels) == ["error", "info", "warning"]

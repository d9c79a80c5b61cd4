"""The dashboard in a real browser: in light and dark, by keyboard, with axe, without JavaScript."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from lake_platform.domain.alerts import CHECK_FAILED, Alert
from lake_platform.domain.bundle import Limits
from lake_platform.domain.dataset import Status
from lake_platform.domain.telling import HeldAlert
from lake_platform.dump.dump import dump
from lake_platform.errors import SchemaBlockedError
from lake_platform.load.load import load
from tests.api.conftest import Stack, Start

playwright = pytest.importorskip("playwright.sync_api", reason="the extra `screenshots` is missing")
axe = pytest.importorskip("axe_playwright_python", reason="the extra `dev` is missing")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
]
AXE = (Path(axe.__file__).parent / "axe.min.js").read_text()
EVIL = "<img src=x onerror=alert(1)><script>alert('x')</script>"
BODY = {
    "topic": "orders", "table": "orders", "mode": "upsert", "primary_key": ["id"],
    "description": EVIL, "owner": "team:shop",
}  # fmt: skip
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
CHECK = Alert(CHECK_FAILED, "orders", "audit", EVIL + "x" * 300, "lake audit orders")
PAGES = {
    "list": "/ui", "filtered": "/ui?trouble=late&sort=lag&desc=1", "none": "/ui?q=nothing",
    "dataset": "/ui/datasets/orders", "empty dataset": "/ui/datasets/quiet",
    "incidents": "/ui/incidents", "incident": "/ui/incidents/1", "login": "/ui/login",
    "error": "/ui/datasets/nope", "notice": "/ui/datasets/orders?done=replaying&run=run-1",
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Served:
    """The stack's application on a port; `said`: what the browser complained of or asked others
    for."""

    def __init__(self, stack: Stack, browser: Any) -> None:
        self.stack, self.browser, self.said = stack, browser, list[str]()
        config = uvicorn.Config(
            stack.client.app, port=0, lifespan="off", log_level="warning", ws="none"
        )
        self.server = uvicorn.Server(config)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            self.ready.wait(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"

    def page(self, **options: Any) -> Any:
        made = self.browser.new_context(base_url=self.base, **options).new_page()
        made.set_default_timeout(30_000)
        made.on("console", lambda m: self._heard(m.text, heard=m.type == "error"))
        made.on("pageerror", lambda error: self._heard(str(error)))
        made.on("dialog", self._dismiss)
        ours = (self.base, "data:", "blob:")
        made.on("request", lambda r: self._heard(r.url, heard=not r.url.startswith(ours)))
        return made

    def _heard(self, text: str, *, heard: bool = True) -> None:
        if heard:
            self.said.append(text)

    def _dismiss(self, dialog: Any) -> None:
        self._heard(dialog.message)
        dialog.dismiss()

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def serve(start: Start, browser: Any) -> Iterator[Any]:
    opened: list[Served] = []

    def run(tokens: dict[str, str] | None = None) -> Served:
        opened.append(Served(start(tokens), browser))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


@pytest.fixture
def served(serve: Any) -> Served:
    """With a table that is blocked, records in quarantine, and a dataset without any."""
    found: Served = serve()
    stack = found.stack
    assert stack.client.post("/datasets", json=BODY).status_code == 201
    stack.client.post("/datasets", json={"topic": "empty", "table": "quiet"})
    load_all(stack)
    stack.kafka.produce("orders", None, f"{{{EVIL}".encode())
    load_all(stack)
    broken = {"id": 5, "name": EVIL, "day": EVIL, "at": {"ms": EVIL}}
    stack.kafka.produce("orders", None, json.dumps(broken).encode())
    with pytest.raises(SchemaBlockedError):
        load_all(stack)
    stack.metastore.keep_alerts([HeldAlert(CHECK, 1)])
    return found


def load_all(stack: Stack) -> None:
    for _ in dump("orders", stack.ports, Limits()):
        pass
    for _ in load("orders", stack.ports, Limits()):
        pass


def violations(page: Any) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['help']} at {[n['target'] for n in v['nodes']][:3]}"
        for v in found["violations"]
    ]


def tab_to(page: Any, wanted: str) -> None:
    """Presses Tab until an element is focused whose text, name or label is this one."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "[document.activeElement.innerText, document.activeElement.name,"
            " document.activeElement.getAttribute('aria-label')]"
        )
        if wanted in [str(text).strip() for text in focused]:
            return
    raise AssertionError(f"Tab never comes to {wanted!r}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(served: Served, name: str, scheme: str) -> None:
    page = served.page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page.goto(PAGES[name])
    for closed in page.locator("summary").all():
        closed.click()
    assert violations(page) == []
    assert [s for s in served.said if "404" not in s] == []


def test_by_keyboard_from_the_list_to_a_resolved_incident(served: Served) -> None:
    page = served.page()
    page.goto("/ui")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.locator(":focus").bounding_box()["x"] >= 0, "it is seen once it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "q")
    page.keyboard.type("order")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui?q=order**")
    tab_to(page, "orders")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is seen"
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/datasets/orders")
    tab_to(page, "Pause")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=paused")
    assert served.stack.metastore.get("orders").status is Status.PAUSED
    tab_to(page, "Resume")
    page.keyboard.press("Space")
    page.wait_for_url("**done=resumed")
    tab_to(page, "resolution0")
    page.keyboard.type("rescue")
    tab_to(page, "What would come of it?")
    page.keyboard.press("Enter")
    page.wait_for_url("**/resolve")
    assert "Nothing was changed" in page.inner_text("main")
    assert page.input_value("[name=resolution0]") == "rescue", "what was chosen stays chosen"
    tab_to(page, "Resolve")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=resolved")
    assert served.stack.metastore.incident(1).status == "RESOLVED"
    assert served.said == []


def test_without_javascript_and_with_a_login(serve: Any) -> None:
    served = serve({"ed:editor": "tok-ed"})
    headers = {"authorization": "Bearer tok-ed"}
    assert served.stack.client.post("/datasets", json=BODY, headers=headers).status_code == 201
    page = served.page(java_script_enabled=False)
    page.goto("/ui/datasets/orders")
    assert page.url.endswith("/ui/login?next=%2Fui%2Fdatasets%2Forders")
    page.fill("[name=token]", "wrong")
    page.click("main button")
    assert "does not know this token" in page.inner_text("[role=alert]")
    page.fill("[name=token]", "tok-ed")
    page.click("main button")
    assert page.url == f"{served.base}/ui/datasets/orders"
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/ui")
    assert "tok-ed" not in json.dumps(cookie)
    page.click("summary:has-text('Replay')")
    assert page.is_visible("[name=from]")
    page.click("button:has-text('Pause')")
    assert "The dataset is paused" in page.inner_text("[role=status]")
    page.click("button:has-text('Log out')")
    page.goto("/ui")
    assert page.url.endswith("/ui/login?next=%2Fui")
    assert page.context.cookies() == []
    assert [s for s in served.said if "401" not in s] == []


def test_a_form_of_another_site_does_nothing(serve: Any) -> None:
    """It has the cookie's host, and no cookie: SameSite keeps it back."""
    served = serve({"ed:editor": "tok-ed"})
    headers = {"authorization": "Bearer tok-ed"}
    served.stack.client.post("/datasets", json=BODY, headers=headers)
    page = served.page()
    page.goto("/ui/login")
    page.fill("[name=token]", "tok-ed")
    page.click("main button")
    action = f"{served.base}/ui/datasets/orders/pause"
    form = f"<form method=post action='{action}'><button>Win</button></form>"
    page.context.route(
        "http://evil.example/", lambda r: r.fulfill(body=form, content_type="text/html")
    )
    page.goto("http://evil.example/")
    page.click("button")
    page.wait_for_url("**/ui/login**")
    assert served.stack.metastore.get("orders").status is Status.REGISTERED


def test_what_fires_is_seen_without_javascript(served: Served) -> None:
    page = served.page(java_script_enabled=False)
    page.goto("/ui")
    page.click("text=alerts fire")
    told = page.locator("section:has(#alerts)")
    assert EVIL in told.inner_text(), "a text, and nothing else"
    told.get_by_role("link", name="incident 1").click()
    page.wait_for_url("**/ui/incidents/1")
    page.goto("/ui/datasets/quiet")
    assert page.locator("#alerts").count() == 0
    assert served.said == []


def test_on_a_phone_nothing_is_cut_off(served: Served) -> None:
    page = served.page(viewport={"width": 390, "height": 800})
    for path in PAGES.values():
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, path


def test_the_description_of_the_api_works_without_a_network(served: Served) -> None:
    page = served.page()
    page.goto("/docs")
    page.wait_for_selector(".opblock-summary-path")
    assert "/datasets" in page.inner_text(".swagger-ui")
    page.goto("/redoc")
    page.wait_for_selector("text=Registers a topic as a lake table")
    # ReDoc would have its logo from elsewhere; the policy keeps it from asking.
    assert [s for s in served.said if "logo-mini.svg" not in s] == []

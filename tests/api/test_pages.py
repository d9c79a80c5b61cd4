"""The dashboard over HTTP: what it shows, who may do what, and that nothing of a record or a user
is ever more than text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import event

from lake_platform.domain.bundle import Limits
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.diff import Change
from lake_platform.dump.dump import dump
from lake_platform.errors import SchemaBlockedError, StorageUnavailableError
from lake_platform.load.load import load
from tests.api.conftest import LOCAL, NOW, Stack, Start
from tests.unit.test_named_commands import missing

EVIL = "<script>alert('x')</script>"
Response = Any  # of httpx, or of httpx2 where that is installed
TOKENS = {"ann:admin": "tok-ann", "ed:editor": "tok-ed", "vic:viewer": "tok-vic"}


class Page(HTMLParser):
    """`text` of a page, its forms (`action` -> fields), ids, and what a script could hang on to."""

    def __init__(self, reply: Response) -> None:
        super().__init__()
        self.status = reply.status_code
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self.active: list[str] = []
        self.text = ""
        self.feed(reply.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if tag in ("script", "style", "iframe", "object", "b"):
            self.active.append(tag)
        self.active += [n for n in held if n.startswith("on") or n == "style"]
        if tag == "form":
            self.forms.append((held.get("action", ""), {}))
        if tag == "input" and "name" in held and self.forms:
            self.forms[-1][1][held["name"]] = held.get("value", "")
        if tag == "a":
            self.links.append(held.get("href", ""))

    def handle_data(self, data: str) -> None:
        self.text += data

    def form(self, action: str) -> dict[str, str]:
        return next(fields for found, fields in self.forms if found == action)

    @property
    def actions(self) -> set[str]:
        return {action for action, _ in self.forms}


def get(stack: Stack, path: str, status: int = 200) -> Page:
    reply = stack.client.get(path)
    assert reply.status_code == status, reply.text
    page = Page(reply)
    assert page.active == []
    return page


def post(stack: Stack, page: Page, action: str, **more: str) -> Response:
    fields = page.form(action) | more
    return stack.client.post(action, data=fields, follow_redirects=False)


def log_in(stack: Stack, token: str) -> None:
    reply = stack.client.post("/ui/login", data={"token": token}, follow_redirects=False)
    assert reply.status_code == 303, reply.text


def run(stack: Stack, table: str) -> None:
    for _ in dump(table, stack.ports, Limits()):
        pass
    for _ in load(table, stack.ports, Limits()):
        pass


def break_it(stack: Stack, value: object = "none") -> None:
    run(stack, "orders")
    record = {"id": value, "name": EVIL, "day": "2026-11-24", "at": {"ms": EVIL}}
    stack.kafka.produce("orders", None, json.dumps(record | {"id": 5}).encode())
    with pytest.raises(SchemaBlockedError):
        run(stack, "orders")


# -- what is shown


def test_the_overview_says_where_each_dataset_stands(orders: Stack) -> None:
    orders.client.post("/datasets", json={"topic": "empty", "table": "quiet", "domain": "sales"})
    run(orders, "orders")
    page = get(orders, "/ui")
    for said in ("orders", "quiet", "sales", "LIVE", "REGISTERED", "0 records backlog", "1 min"):
        assert said in page.text
    assert "/ui/datasets/orders" in page.links
    assert "http://127.0.0.1:13000" in page.links


def test_the_first_address_leads_to_it(client: Any) -> None:
    reply = client.get("/", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/ui")


def test_an_empty_platform_says_how_to_begin(stack: Stack) -> None:
    assert "lake datasets add" in get(stack, "/ui").text


def test_the_page_of_a_dataset_has_all_of_it(orders: Stack) -> None:
    orders.kafka.produce("orders", None, b"{broken")
    run(orders, "orders")
    page = get(orders, "/ui/datasets/orders")
    for said in (
        "Windows, raw to lake", "in the table", "closes", "decode", "not one valid JSON document",
        "{broken", "first sight", "local", "register", "primary_key", "No incident is open",
    ):  # fmt: skip
        assert said in page.text, said
    assert "http://127.0.0.1:13000/assets/lake/orders?view=checks" in page.links


def test_an_open_incident_shows_difference_samples_and_commands(orders: Stack) -> None:
    break_it(orders)
    for path in ("/ui/datasets/orders", "/ui/incidents/1"):
        page = get(orders, path)
        for said in (
            "at.ms", EVIL, "lake incidents resolve 1 rescue --dry-run", "lake incidents show 1",
            "the value goes to _rescued",
        ):  # fmt: skip
            assert said in page.text, said
    shown = re.findall(r"<code>lake ([^<]+)</code>", orders.client.get("/ui/incidents/1").text)
    assert len(shown) > 3
    assert [missing(command) for command in shown] == [""] * len(shown)
    assert "/ui/incidents/1" in get(orders, "/ui/incidents").links
    assert "1 open" in get(orders, "/ui").text
    assert "1 record held in 1 raw commit" in get(orders, "/ui/incidents/1").text


@pytest.mark.parametrize("path", ["/ui/datasets/nope", "/ui/incidents/7", "/ui/nope"])
def test_what_is_not_there_is_said_on_a_page(stack: Stack, path: str) -> None:
    reply = stack.client.get(path)
    assert reply.status_code == 404
    if path != "/ui/nope":
        assert 'role="alert"' in reply.text
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "query", ["sort=name", "page=0", "status=live", "trouble=all", "desc=maybe", "q=" + "x" * 300]
)
def test_an_address_that_cannot_be_is_refused(stack: Stack, query: str) -> None:
    page = get(stack, f"/ui?{query}", 422)
    assert query.partition("=")[0] in page.text


def test_without_its_storage_a_page_shows_what_the_metastore_has(
    orders: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(orders, "orders")

    def away(*_: object) -> Iterator[Any]:
        raise StorageUnavailableError("the storage is away")

    monkeypatch.setattr(type(orders.store), "list", away)
    page = get(orders, "/ui/datasets/orders")
    assert "The storage could not be read: the storage is away" in page.text
    assert "closes" in page.text


def test_what_nobody_foresaw_tells_no_details(
    orders: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a canary")

    monkeypatch.setattr(type(orders.metastore), "standings", fail)
    page = get(orders, "/ui", 500)
    assert "the log of the API has the details" in page.text
    assert "canary" not in page.text


def test_a_list_is_loaded_again_where_that_is_asked(orders: Stack) -> None:
    assert "refresh" not in orders.client.get("/ui").headers
    reply = orders.client.get("/ui?every=30&sort=lag")
    assert reply.headers["refresh"] == "30"
    assert "/ui?sort=lag" in Page(reply).links, "the way to stop it"
    assert orders.client.get("/ui?every=1").headers["refresh"] == "5"
    assert orders.client.get("/ui?every=-1").status_code == 422


# -- filters, order, pages


@pytest.fixture
def many(stack: Stack) -> Stack:
    for number in range(120):
        table = f"t{number:03}"
        domain = "sales" if number % 3 else "web"
        dataset = Dataset(topic=table, table=table, domain=domain, owner=f"team:{number % 2}")
        stack.metastore.register(dataset, None, "ann")
        stack.metastore.update_progress(table, records_ingested=number, backlog=number * 10)
    stack.metastore.set_status("t007", Status.LIVE)
    stack.metastore.pause("t008", "ann")
    stack.metastore.retire("t009", "ann")
    stack.metastore.update_progress("t010", load_error="no such column", load_failures=1)
    return stack


def tables(page: Page) -> list[str]:
    return list(dict.fromkeys(re.findall(r"t\d{3}", " ".join(page.links))))


def test_lists_are_filtered_by_their_address(many: Stack) -> None:
    assert tables(get(many, "/ui?q=T01")) == [f"t01{n}" for n in range(10)]
    assert tables(get(many, "/ui?status=PAUSED")) == ["t008"]
    assert tables(get(many, "/ui?status=RETIRED")) == ["t009"]
    assert tables(get(many, "/ui?trouble=failing")) == ["t010"]
    assert tables(get(many, "/ui?domain=web&q=t00")) == ["t000", "t003", "t006"]
    assert "No dataset is like that" in get(many, "/ui?q=nothing").text


def test_lists_are_sorted_by_their_address(many: Stack) -> None:
    assert tables(get(many, "/ui?sort=backlog&desc=1"))[:2] == ["t119", "t118"]
    assert tables(get(many, "/ui?sort=backlog"))[:2] == ["t000", "t001"]
    assert tables(get(many, "/ui?sort=status"))[0] == "t007"
    reply = many.client.get("/ui?sort=backlog&desc=1")
    assert 'aria-sort="descending"' in reply.text
    assert "/ui?sort=backlog&amp;page=2" not in reply.text
    assert "/ui?sort=backlog&amp;desc=1&amp;page=2" in reply.text


def test_lists_have_pages(many: Stack) -> None:
    first = get(many, "/ui")
    assert "50 of 119" in first.text
    assert "/ui?page=2" in first.links
    seen = [t for n in (1, 2, 3) for t in tables(get(many, f"/ui?page={n}"))]
    assert len(seen) == len(set(seen)) == 119
    assert "Page 3 of 3" in get(many, "/ui?page=99").text
    assert "/ui?domain=sales" in get(many, "/ui?domain=sales&page=2").links, "the way back"


@pytest.mark.parametrize("path", ["/ui", "/ui?sort=lag&desc=1&q=t"])
def test_so_many_reads_however_many_datasets(stack: Stack, path: str) -> None:
    said: list[str] = []
    stack.metastore.register(Dataset(topic="t000", table="t000"), None, "ann")
    stack.metastore.block("t000", (), "b1", (), "engine", "why")
    engine = stack.metastore._engine
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))

    def reads() -> int:
        said.clear()
        get(stack, path)
        return len([s for s in said if s.startswith("SELECT")])

    one = reads()
    for number in range(1, 60):
        table = f"t{number:03}"
        stack.metastore.register(Dataset(topic=table, table=table), None, "ann")
        stack.metastore.block(table, (), "b1", (), "engine", "why")
    assert reads() == one <= 6, said


# -- nothing is more than text


def test_texts_of_users_and_records_are_only_shown(orders: Stack) -> None:
    stack = orders
    dataset = Dataset(
        topic="orders", table="evil", domain="d", owner=EVIL, description=f"{EVIL}\u202e\x07",
        tags={"t": EVIL},
    )  # fmt: skip
    stack.metastore.register(dataset, None, EVIL)
    stack.kafka.produce("orders", EVIL.encode(), f"{{{EVIL}\ud83d\u202e".encode("utf-8", "replace"))
    run(stack, "evil")
    change = Change(f"{EVIL}.x", "type", "breaking", EVIL, f"array<{EVIL}>")
    samples = [{EVIL: EVIL, "bell": "\x07", "turned": "\u202e", "half": "\ud83d"}]
    stack.metastore.block("evil", [change], EVIL, samples)
    stack.metastore.block("evil", (), "b2", samples, "rule", EVIL)
    stack.metastore.update_progress("evil", load_error=EVIL, dump_error=EVIL)
    stack.metastore.pause("evil", EVIL)
    for path in (
        "/ui", f"/ui?q={EVIL}", "/ui/datasets/evil", "/ui/incidents", "/ui/incidents/1",
        "/ui/incidents/2", f"/ui/datasets/{EVIL}", f"/ui?status={EVIL}", f"/ui?done={EVIL}",
        f"/ui?done=paused&run={EVIL}", f"/ui/login?next={EVIL}", f"/ui/incidents/{EVIL}",
    ):  # fmt: skip
        reply = stack.client.get(path)
        assert Page(reply).active == [], path
        assert EVIL not in reply.text, path
        assert "\u202e" not in reply.text, path
        assert "\x07" not in reply.text, path
    assert EVIL in get(stack, "/ui/datasets/evil").text
    assert "\\u202e" in get(stack, "/ui/incidents/1").text


def test_each_page_lets_nothing_else_in(orders: Stack) -> None:
    for path in ("/ui", "/ui/datasets/orders", "/ui/incidents", "/ui/login", "/ui/datasets/nope"):
        reply = orders.client.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
    sheet = orders.client.get(re.findall(r'href="(/ui/static/style[^"]+)"', reply.text)[0])
    assert (sheet.status_code, sheet.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert orders.client.get("/ui/static/..%2f__init__.py").status_code == 404


# -- who may do what


def test_without_a_login_there_is_only_the_login(start: Start) -> None:
    stack = start(TOKENS)
    for path in ("/ui", "/ui/datasets/orders?x=1", "/ui/incidents", "/ui/incidents/1"):
        reply = stack.client.get(path, follow_redirects=False)
        assert reply.status_code == 303
        assert reply.headers["location"].startswith("/ui/login?next=%2Fui")
        assert "orders" not in reply.text
    reply = stack.client.post("/ui/datasets/orders/pause", data={}, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/ui/login?next=%2Fui")


def test_a_login_gives_a_cookie_that_is_no_token(start: Start) -> None:
    stack = start(TOKENS)
    reply = stack.client.post(
        "/ui/login", data={"token": "tok-ed", "next": "/ui/incidents?status=ALL"},
        follow_redirects=False,
    )  # fmt: skip
    assert (reply.status_code, reply.headers["location"]) == (303, "/ui/incidents?status=ALL")
    cookie = reply.headers["set-cookie"]
    for said in ("HttpOnly", "SameSite=strict", "Path=/ui", "Max-Age=43200"):
        assert said in cookie
    assert "tok-ed" not in str(reply.headers)
    page = get(stack, "/ui")
    assert "ed (editor)" in page.text
    assert stack.client.get("/datasets").status_code == 401, "the API wants the token itself"
    assert post(stack, page, "/ui/logout").headers["location"] == "/ui/login"
    assert stack.client.get("/ui", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("token", ["", "tok", "tok-ann ", "TOK-ANN", "tök"])
def test_a_token_that_is_not_known(start: Start, token: str) -> None:
    stack = start(TOKENS)
    reply = stack.client.post("/ui/login", data={"token": token}, follow_redirects=False)
    if token.strip() == "tok-ann":
        assert reply.status_code == 303
        return
    assert reply.status_code == 401
    assert "does not know this token" in reply.text
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    "behind",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/datasets", "", "/uix"],
)
def test_a_login_leads_to_no_other_place(start: Start, behind: str) -> None:
    stack = start(TOKENS)
    data = {"token": "tok-ed", "next": behind}
    reply = stack.client.post("/ui/login", data=data, follow_redirects=False)
    assert reply.headers["location"] == "/ui"


def test_over_tls_the_cookie_stays_there(start: Start) -> None:
    stack = start(TOKENS)
    reply = stack.client.post(
        "https://127.0.0.1:18600/ui/login", data={"token": "tok-ed"}, follow_redirects=False
    )
    assert "Secure" in reply.headers["set-cookie"]


def test_a_session_cannot_be_forged(start: Start) -> None:
    stack = start(TOKENS)
    log_in(stack, "tok-ed")
    cookie = stack.client.cookies["lake_session"]
    ends, nonce, signature = cookie.split(".")
    assert int(ends) == NOW + 60_000 + 12 * 3_600_000
    for forged in (
        f"{int(ends) + 1}.{nonce}.{signature}", f"{ends}.{nonce}.", "", "..", cookie[:-1],
        f"{ends}.{nonce}.{'0' * 64}", "form.x.y", "é.é.é",
    ):  # fmt: skip
        raw = {b"cookie": f"lake_session={forged}".encode()}
        stack.client.cookies.clear()
        assert stack.client.get("/ui", headers=raw, follow_redirects=False).status_code == 303
    headers = {"cookie": f"lake_session={cookie}"}
    assert stack.client.get("/ui", headers=headers).status_code == 200
    # A restart keeps it; another token does not.
    assert start(TOKENS).client.get("/ui", headers=headers).status_code == 200
    other = start(TOKENS | {"ed:editor": "tok-new"})
    assert other.client.get("/ui", headers=headers, follow_redirects=False).status_code == 303
    # A form's token is no session either.
    page = Page(stack.client.get("/ui", headers=headers))
    forged = f"{cookie}.{page.form('/ui/logout')['form_token']}"
    headers = {"cookie": f"lake_session={forged}"}
    assert stack.client.get("/ui", headers=headers, follow_redirects=False).status_code == 303


def test_viewers_see_no_form_and_may_not_post(start: Start) -> None:
    stack = start(TOKENS)
    body = {"topic": "orders", "table": "orders", "mode": "upsert", "primary_key": ["id"]}
    headers = {"authorization": "Bearer tok-ed"}
    assert stack.client.post("/datasets", json=body, headers=headers).status_code == 201
    break_it(stack)
    log_in(stack, "tok-vic")
    page = get(stack, "/ui/datasets/orders")
    assert page.actions == {"/ui/logout"}
    token = page.form("/ui/logout")
    for action in ("datasets/orders/pause", "datasets/orders/redrive", "incidents/1/resolve"):
        reply = stack.client.post(f"/ui/{action}", data=token, follow_redirects=False)
        assert reply.status_code == 403
        assert "editor" in reply.text
    log_in(stack, "tok-ed")
    page = get(stack, "/ui/datasets/orders")
    assert "/ui/datasets/orders/pause" in page.actions
    assert "/ui/datasets/orders/retire" not in page.actions
    reply = stack.client.post("/ui/datasets/orders/retire", data=page.form("/ui/logout"))
    assert reply.status_code == 403
    assert stack.metastore.get("orders").status is Status.BLOCKED


# -- forms


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"form": "none"}, {}),
        ({"form_token": ""}, {}),
        ({"form_token": "0" * 64}, {}),
        (None, {"origin": "http://evil.example"}),
        (None, {"origin": "null"}),
        (None, {"sec-fetch-site": "cross-site"}),
        (None, {"sec-fetch-site": "same-site"}),
    ],
)
@pytest.mark.parametrize("tokens", [{}, TOKENS])
def test_a_form_of_another_page_changes_nothing(
    start: Start, tokens: dict[str, str], fields: dict[str, str] | None, headers: dict[str, str]
) -> None:
    stack = start(tokens)
    stack.metastore.register(Dataset(topic="orders", table="orders"), None, "ann")
    if tokens:
        log_in(stack, "tok-ann")
    action = "/ui/datasets/orders/pause"
    held = get(stack, "/ui/datasets/orders").form(action) if fields is None else fields
    reply = stack.client.post(action, data=held, headers=headers, follow_redirects=False)
    assert reply.status_code == 403
    assert stack.metastore.get("orders").status is Status.REGISTERED


def test_a_form_of_another_session_changes_nothing(start: Start) -> None:
    stack = start(TOKENS)
    stack.metastore.register(Dataset(topic="orders", table="orders"), None, "ann")
    log_in(stack, "tok-ed")
    page = get(stack, "/ui/datasets/orders")
    log_in(stack, "tok-ann")
    assert post(stack, page, "/ui/datasets/orders/pause").status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"form_token": "x"}', "application/json", 422),
        (b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"a=1&" * 2_000, "application/x-www-form-urlencoded", 422),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 422),
    ],
)
def test_a_body_that_is_no_form(orders: Stack, content: bytes, kind: str, status: int) -> None:
    reply = orders.client.post(
        "/ui/datasets/orders/pause", content=content, headers={"content-type": kind}
    )
    assert reply.status_code == status
    assert 'role="alert"' in reply.text


def test_other_hosts_and_frames_are_kept_out(orders: Stack) -> None:
    reply = orders.client.get("/ui", headers={"host": "evil.example"})
    assert reply.status_code == 403
    assert "orders" not in reply.text
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


def test_pause_and_resume(orders: Stack) -> None:
    page = get(orders, "/ui/datasets/orders")
    reply = post(orders, page, "/ui/datasets/orders/pause")
    assert reply.headers["location"] == "/ui/datasets/orders?done=paused"
    page = get(orders, reply.headers["location"])
    assert "The dataset is paused" in page.text
    assert "/ui/datasets/orders/pause" not in page.actions
    post(orders, page, "/ui/datasets/orders/resume")
    assert orders.metastore.get("orders").status is Status.REGISTERED
    assert orders.metastore.audit_log("orders")[0].actor == "local"


def test_retiring_asks_for_the_name(orders: Stack) -> None:
    page, action = get(orders, "/ui/datasets/orders"), "/ui/datasets/orders/retire"
    assert post(orders, page, action, name="order").status_code == 422
    assert post(orders, page, action, name="orders").status_code == 303
    page = get(orders, "/ui/datasets/orders")
    assert "RETIRED" in page.text
    assert page.actions == {"/ui/datasets/orders/unretire"}
    assert post(orders, page, "/ui/datasets/orders/unretire").status_code == 303
    assert orders.metastore.get("orders").status is Status.REGISTERED


def test_an_incident_is_tried_and_resolved(orders: Stack) -> None:
    break_it(orders)
    page, action = get(orders, "/ui/incidents/1"), "/ui/incidents/1/resolve"
    assert page.form(action)["path0"] == "at.ms"
    tried = Page(post(orders, page, action, resolution0="rescue", do="try"))
    for said in ("What would come of it", "Rescued of at.ms", "Nothing was changed"):
        assert said in tried.text
    assert orders.metastore.incident(1).status == "OPEN"
    page = get(orders, "/ui/datasets/orders")
    reply = post(orders, page, action, resolution0="rescue", do="resolve", always="1")
    assert reply.headers["location"] == "/ui/datasets/orders?done=resolved"
    assert orders.metastore.incident(1).resolution == "at.ms=rescue (always)"
    run(orders, "orders")
    page = get(orders, "/ui/datasets/orders")
    assert "1 resolved" in page.text
    assert orders.metastore.progress("orders").rescued == 1


def test_a_resolution_that_makes_the_table_anew_is_a_run(orders: Stack) -> None:
    break_it(orders)
    page, action = get(orders, "/ui/incidents/1"), "/ui/incidents/1/resolve"
    reply = post(orders, page, action, resolution0="text", do="resolve")
    assert reply.headers["location"] == "/ui/datasets/orders?done=remaking&run=run-1"
    [(job, config)] = orders.launched
    assert job == "resolve_incident"
    assert config["ops"]["resolve_changes"]["config"]["columns"] == {"at.ms": "text"}
    page = get(orders, reply.headers["location"])
    assert "http://127.0.0.1:13000/runs/run-1" in page.links


@pytest.mark.parametrize("resolution", ["", "nonsense", "drop_column"])
def test_a_resolution_that_does_not_fit_says_why(orders: Stack, resolution: str) -> None:
    break_it(orders)
    page, action = get(orders, "/ui/incidents/1"), "/ui/incidents/1/resolve"
    for do in ("try", "resolve"):
        reply = post(orders, page, action, resolution0=resolution, do=do)
        assert reply.status_code == 422
        assert 'href="/ui/incidents/1"' in reply.text
    assert orders.metastore.incident(1).status == "OPEN"


def test_a_load_that_kept_failing_is_tried_again(orders: Stack) -> None:
    orders.metastore.block("orders", (), "b", (), "engine", "no such column")
    page = get(orders, "/ui/incidents/1")
    assert post(orders, page, "/ui/datasets/orders/resume").status_code == 303
    assert orders.metastore.incident(1).resolution == "try again"


def test_replays_and_redrives_are_runs(orders: Stack) -> None:
    orders.kafka.produce("orders", None, b'{"name": "no key"}')
    run(orders, "orders")
    page = get(orders, "/ui/datasets/orders")
    action = "/ui/datasets/orders/replay"
    reply = post(orders, page, action)
    assert reply.headers["location"].endswith("?done=replaying&run=run-1")
    window = page.form(action)["from"]
    assert orders.launched[0][1]["ops"]["replay_windows"]["config"]["first_window"] == window
    assert post(orders, page, action, to="yesterday").status_code == 422
    reply = post(orders, page, "/ui/datasets/orders/redrive")
    assert reply.headers["location"].endswith("?done=redriven&run=run-2")
    config = orders.launched[1][1]["ops"]["redrive_quarantine"]["config"]
    assert config["reasons"] == ["primary key is null or missing"]


def test_what_is_no_json_cannot_be_driven_in_again(orders: Stack) -> None:
    orders.kafka.produce("orders", None, b"{broken")
    run(orders, "orders")
    page = get(orders, "/ui/datasets/orders")
    reply = post(orders, page, "/ui/datasets/orders/redrive")
    assert orders.launched == []
    assert "no JSON documents" in get(orders, reply.headers["location"]).text


def test_gaps_are_accepted_by_admins(orders: Stack) -> None:
    from lake_platform.domain.offsets import OffsetRange

    orders.metastore.update_progress(
        "orders", dump_error="gone", dump_error_kind="OffsetsMissingError"
    )
    page, action = get(orders, "/ui/datasets/orders"), "/ui/datasets/orders/gaps"
    assert post(orders, page, action).headers["location"].endswith("done=nothing")
    orders.missing[0] = OffsetRange(3, 9)
    assert post(orders, page, action).headers["location"].endswith("done=gaps")
    assert "offsets 3 to 8, by local" in get(orders, "/ui/datasets/orders").text


# -- the pages of the API's description


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_description_asks_no_other_host(client: Any, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 200
    found = re.findall(r'(?:src|href)="([^"]+)"', reply.text)
    assert found
    assert [address for address in found if not address.startswith("/docs-static/")] == []
    for address in found:
        held = client.get(address)
        assert (held.status_code, len(held.content) > 1000) == (200, True), address
    assert "'unsafe-eval'" not in reply.headers["content-security-policy"]
    assert "https:" not in reply.headers["content-security-policy"]
    assert LOCAL not in reply.text

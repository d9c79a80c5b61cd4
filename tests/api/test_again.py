"""Quarantine and replays over HTTP: what is there, what would be done, and the jobs that do it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
from fastapi.testclient import TestClient

from lake_platform import compose
from lake_platform.adapters.dagster.graphql import DagsterGraphQL
from lake_platform.api.app import create_app_with
from lake_platform.api.parts import Parts
from lake_platform.domain.quality import Reason
from lake_platform.errors import DagsterUnavailableError
from lake_platform.settings import Settings
from tests.api.conftest import LOCAL
from tests.api.test_reload import FakeDagster
from tests.support import Lab
from tests.unit.load.test_redrive import FIRST, SECOND, THIRD, begun

CONFLICT, NO_JSON = Reason.CONFLICT.value, Reason.NOT_JSON.value
Launched = list[tuple[str, Mapping[str, Any]]]


def no_bench() -> NoReturn:
    raise AssertionError("no sample is checked here")


@pytest.fixture
def launched() -> Launched:
    return []


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(lab: Lab, launched: Launched, tmp_path: Path) -> Iterator[TestClient]:
    begun(lab)

    def launch(job: str, run_config: Mapping[str, Any]) -> str:
        launched.append((job, run_config))
        return f"run-{len(launched)}"

    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    parts = Parts(
        use_cases=use_cases,
        kafka=lab.kafka,
        store=lab.store,
        missing=lambda _: {},
        look_ahead=compose.build_look_ahead(lab.ports(), lab.limits, use_cases),
        bench=no_bench,
        clock=lambda: lab.now_ms,
        launch=launch,
    )
    app = create_app_with(Settings.model_validate({"home": tmp_path}), parts)
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as made:
        yield made


def test_quarantine_by_window_reason_and_version(client: TestClient) -> None:
    found = client.get("/quarantine/t").json()
    assert (found["quarantined"], found["by_reason"]) == (3, {CONFLICT: 2, NO_JSON: 1})
    assert found["groups"][0] == {
        "window": SECOND, "reason": CONFLICT, "schema_version": 1, "records": 1,
    }  # fmt: skip
    assert found["complete"]


def test_records_as_they_came(client: TestClient) -> None:
    found = client.get("/quarantine/t/records", params={"reason": "conflict", "window": FIRST})
    (record,) = found.json()["records"]
    assert (record["value"], record["key"]) == ('{"id": 10, "n": "many"}', "10")
    assert (record["reason"], record["whole"]) == (CONFLICT, True)
    assert len(client.get("/quarantine/t/records", params={"limit": 1}).json()["records"]) == 1
    assert client.get("/quarantine/nope/records").status_code == 404


def test_a_redrive_is_planned_and_started(client: TestClient, launched: Launched) -> None:
    planned = client.post("/quarantine/t/redrive", json={"dry_run": True, "windows": [FIRST]})
    assert planned.status_code == 200
    assert (planned.json()["records_to_read"], planned.json()["run_id"]) == (2, None)
    assert launched == []
    started = client.post("/quarantine/t/redrive", json={"reasons": ["conflict"]})
    assert (started.status_code, started.json()["run_id"]) == (202, "run-1")
    config = {"table": "t", "reasons": ["conflict"], "windows": [], "rescued": False}
    assert launched == [("redrive", {"ops": {"redrive_quarantine": {"config": config}}})]


def test_a_redrive_of_nothing_starts_nothing(client: TestClient, launched: Launched) -> None:
    done = client.post("/quarantine/t/redrive", json={"reasons": ["null_key"]})
    assert (done.status_code, done.json()["run_id"], launched) == (200, None, [])


def test_a_replay_is_planned_and_started(client: TestClient, launched: Launched) -> None:
    body = {"table": "t", "from": SECOND}
    planned = client.post("/replays", json={**body, "dry_run": True}).json()
    assert (planned["windows"], planned["records"], planned["run_id"]) == ([SECOND, THIRD], 4, None)
    started = client.post("/replays", json=body)
    assert (started.status_code, started.json()["run_id"]) == (202, "run-1")
    config = {"table": "t", "windows": [], "all_windows": False, "first_window": SECOND}
    assert launched == [("replay", {"ops": {"replay_windows": {"config": config}}})]


@pytest.mark.parametrize(
    ("path", "body", "field", "said"),
    [
        ("/quarantine/t/redrive", {"reason": ["x"]}, "reason", "known fields are: reasons, windo"),
        ("/quarantine/t/redrive", {"reasons": ["no such"]}, "reason", "short names are "),
        ("/quarantine/t/redrive", {"reasons": "conflict"}, "reasons", "list"),
        ("/quarantine/t/redrive", {"rescued": True, "version": 1}, "rescued", "windows only"),
        ("/replays", {"table": "t"}, "windows", "none is named"),
        ("/replays", {"table": "t", "all": True, "from": FIRST}, "windows", "not one choice"),
        ("/replays", {"table": "t", "from": THIRD, "to": FIRST}, "to", "give the earlier hour"),
        ("/replays", {"table": "t", "windows": ["2026-11-01-09:00"]}, "windows", "there is 2026"),
        ("/replays", {"table": "t", "since": FIRST}, "since", "table, windows, from, to, all"),
        ("/replays", {"table": "../t", "all": True}, "table", "not a valid name"),
    ],
)
def test_what_cannot_be_names_the_field(
    client: TestClient, launched: Launched, path: str, body: dict[str, Any], field: str, said: str
) -> None:
    refused = client.post(path, json=body)
    assert refused.status_code == 422
    found = refused.json()
    assert (found["field"], said in found["message"], launched) == (field, True, []), found


def test_a_blocked_table_is_refused_with_the_remedy(
    client: TestClient, lab: Lab, launched: Launched
) -> None:
    lab.metastore.block("t", (), "b", ())
    for path, body in (("/quarantine/t/redrive", {}), ("/replays", {"table": "t", "all": True})):
        refused = client.post(path, json=body)
        assert (refused.status_code, refused.json()["error"]) == (409, "NotRunnableError")
        assert "lake incidents list" in refused.json()["remedy"]
    assert client.post("/quarantine/t/redrive", json={"dry_run": True}).status_code == 200
    assert launched == []


def test_a_version_there_is_none_of(client: TestClient) -> None:
    refused = client.post("/quarantine/t/redrive", json={"version": 9})
    assert (refused.status_code, refused.json()["field"]) == (404, "version")


class Jobs(FakeDagster):
    """A Dagster that has the job `replay` and takes what `reply` says."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__()
        self.reply = reply

    def answer(self, query: str) -> dict[str, Any]:
        if "repositoriesOrError" not in query:
            return {"launchRun": self.reply}
        node = {"name": "r", "location": {"name": "l"}, "jobs": [{"name": "replay"}]}
        return {"repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [node]}}


@pytest.mark.parametrize(
    ("reply", "job", "said"),
    [
        ({"__typename": "PythonError", "message": "no queue"}, "replay", "replay: no queue"),
        (
            {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "bad"}]},
            "replay",
            "replay: bad",
        ),
        ({"__typename": "PythonError", "message": ""}, "redrive", "has no job redrive"),
    ],
)
def test_a_run_that_does_not_start_says_why(reply: dict[str, Any], job: str, said: str) -> None:
    dagster = Jobs(reply)
    try:
        with pytest.raises(DagsterUnavailableError, match=said):
            DagsterGraphQL(dagster.url).launch(job, {})
    finally:
        dagster.close()


def test_a_run_that_starts_has_an_id() -> None:
    dagster = Jobs({"__typename": "LaunchRunSuccess", "run": {"runId": "abc"}})
    try:
        assert DagsterGraphQL(dagster.url).launch("replay", {"ops": {}}) == "abc"
    finally:
        dagster.close()

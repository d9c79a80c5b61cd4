"""`lake audit` and the asset check `audit` with the storage on S3, and what they say when it cannot
be read: one sentence, soon, and no secret in it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from assets.audit import AUDIT, audit_check
from assets.checks import check_key
from assets.translator import asset_key
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit import files
from lake_platform.audit.place import s3_place
from lake_platform.cli.main import app
from lake_platform.embedded.ports import free_port
from lake_platform.settings import load_settings
from resources.platform import PlatformResource
from tests.audit_support import MemoryTopic, parquet_lab, ten_and_a_bad_one, without_spark
from tests.contract.seaweed import s3_url
from tests.integration.s3_copy import Server, put_all
from tests.support import Lab

__all__ = ["s3_url"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(60)]
CANARY = "canary-5e1d"
Said = Callable[..., Result]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        made = parquet_lab(tmp_path_factory.mktemp("lab"))
        ten_and_a_bad_one(made)
        yield made
        made.close()


@pytest.fixture
def settings(lab: Lab, s3_url: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The options of the server in the settings, its access key in the environment."""
    options = s3_url[1]
    plain = {n: v for n, v in options.items() if not n.endswith(("_id", "_key"))}
    monkeypatch.setenv("LAKE_HOME", str(lab.home))
    monkeypatch.setenv("LAKE_STORAGE_URL", put_all(lab.home / "storage", s3_url))
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", json.dumps(plain))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret_access_key"])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no test asks the machine's cloud
    yield plain


@pytest.fixture
def lake(lab: Lab, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Said:
    assert settings
    monkeypatch.setattr("lake_platform.audit.topic.KafkaTopic", lambda *_: MemoryTopic(lab.kafka))
    return lambda *arguments: CliRunner().invoke(app, ["audit", "t", *arguments])


def lose_a_row() -> None:
    settings = load_settings()
    store = open_store(settings.storage_root, settings.storage_options)
    keys = [i.key for i in store.list("lake/t/") if i.key.endswith(".parquet")]
    store.delete(keys[:1])


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_the_command(lake: Said, deep: tuple[str, ...]) -> None:
    result = lake(*deep)
    assert result.exit_code == 0, result.output
    assert "0 lost, 0 duplicated, 0 alien, 0 pending of 11 records" in result.output
    lose_a_row()
    found = lake("--json", *deep)
    assert found.exit_code == 1
    assert json.loads(found.stdout)["total"]["lost"] > 0


@pytest.fixture
def check(lab: Lab, settings: dict[str, str]) -> Iterator[Callable[[], dg.AssetCheckEvaluation]]:
    assert settings
    platform = PlatformResource(settings=load_settings())
    where = {"resources": {"platform": platform}}
    asset = dg.AssetSpec(asset_key("lake", "t"))
    key = check_key("t", AUDIT)

    def evaluated() -> dg.AssetCheckEvaluation:
        job = dg.define_asset_job("one", selection=dg.AssetSelection.checks(key))
        checks = [audit_check(lab.dataset())]
        made: dict[str, Any] = {"assets": [asset], "asset_checks": checks, "jobs": [job], **where}
        done = dg.Definitions(**made).resolve_job_def("one").execute_in_process()
        (found,) = done.get_asset_check_evaluations()
        return found

    yield evaluated
    platform.open_ports().metastore.close()  # type: ignore[attr-defined]


def test_the_asset_check(check: Callable[[], dg.AssetCheckEvaluation]) -> None:
    assert check().passed
    lose_a_row()
    found = check()
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR


def test_the_asset_check_of_a_dead_server(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    dead = {**settings, "endpoint": f"http://127.0.0.1:{free_port()}"}
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", json.dumps(dead))
    found = request.getfixturevalue("check")()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no audit was possible: storage s3://" in str(found.description)


def one_sentence(result: Result) -> str:
    assert result.exit_code == 1
    assert result.output.count("\n") == 1, result.output
    assert CANARY not in result.output
    return result.output


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_endpoint_nobody_listens_at(
    lake: Said, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    dead = f"{scheme}://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", json.dumps({**settings, "endpoint": dead}))
    said = one_sentence(lake())
    assert f"at {dead} does not answer: NETWORK_CONNECTION" in said
    assert "check LAKE_STORAGE_URL, and endpoint and region in LAKE_STORAGE_OPTIONS" in said


def test_an_endpoint_that_never_answers(
    lake: Said, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SILENCE_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = json.dumps({**settings, "endpoint": endpoint})
        monkeypatch.setenv("LAKE_STORAGE_OPTIONS", options)
        assert f"at {endpoint} does not answer" in one_sentence(lake())


def test_a_bucket_that_is_not_there(lake: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_STORAGE_URL", "s3://no-such-bucket/root")
    said = one_sentence(lake())
    assert "there is no bucket 'no-such-bucket' at http://127.0.0.1" in said
    assert "check LAKE_STORAGE_URL" in said


def test_a_folder_that_is_not_there(lake: Said, s3_url: Server, monkeypatch: Any) -> None:
    monkeypatch.setenv("LAKE_STORAGE_URL", f"{s3_url[0]}/nothing/here")
    said = one_sentence(lake())
    assert f"there is no raw commit log under {s3_url[0]}/nothing/here" in said
    assert "check LAKE_STORAGE_URL" in said


@pytest.mark.parametrize(
    ("key", "secret", "said"),
    [
        ("", "", "refuses a reader without an access key: ACCESS_DENIED"),
        ("tester", CANARY, "refuses the access key: SIGNATURE_DOES_NOT_MATCH"),
        (CANARY, CANARY, "refuses the access key: INVALID_ACCESS_KEY_ID"),
        ("tester", "", "only one is set; set both or neither"),
    ],
)
def test_credentials_that_are_missing_or_wrong(
    lake: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, secret: str, said: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no profile of whoever runs the test
    for name, value in (("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    found = one_sentence(lake())
    assert said in found
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in found


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"sse_customer_key_base64": CANARY}, "cannot read S3 with sse_customer_key_base64"),
        ({"endpoint": f"http://me:{CANARY}@127.0.0.1"}, "the endpoint has a user or password"),
        ({"virtual_hosted_style_request": "true"}, "set virtual_hosted_style_request to false"),
    ],
)
def test_options_the_audit_cannot_honour(
    lake: Said,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    option: dict[str, str],
    said: str,
) -> None:
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", json.dumps({**settings, **option}))
    assert said in one_sentence(lake())


def test_settings_tell_no_secret(settings: dict[str, str]) -> None:
    found = load_settings()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    place = s3_place(found.storage_root, settings, dict.fromkeys(names, CANARY))
    assert CANARY not in repr(place)
    assert place.options["aws_session_token"] == CANARY

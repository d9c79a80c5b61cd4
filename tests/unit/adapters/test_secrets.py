"""References to secrets: each kind is read, what is missing is named, no secret is told."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lake_platform import compose
from lake_platform.adapters.secrets import aws, resolve
from lake_platform.adapters.secrets.resolve import resolved, resolved_options, resolved_url
from lake_platform.api.security import Tokens
from lake_platform.domain.secrets import Reference, hidden, names_secret, reference
from lake_platform.errors import SecretMissingError
from lake_platform.settings import Settings, load_settings

CANARY = "canary-5e1f"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("env:DB_PASSWORD", Reference("env", "DB_PASSWORD")),
        ("file:/run/secrets/db password", Reference("file", "/run/secrets/db password")),
        ("aws-secrets:lake/db", Reference("aws-secrets", "lake/db")),
        ("aws-secrets:lake/db#pass word", Reference("aws-secrets", "lake/db", "pass word")),
        (
            "aws-secrets:arn:aws:secretsmanager:eu-west-1:1:secret:db-x#p",
            Reference("aws-secrets", "arn:aws:secretsmanager:eu-west-1:1:secret:db-x", "p"),
        ),
        ("env:", None),
        ("env:NOT A NAME", None),
        ("env:X;rm", None),
        ("file:relative", None),
        ("file:///as/a/url", None),
        ("ENV:X", None),
        ("x env:X", None),
        ("aws-secrets:", None),
        ("aws-secrets:a b", None),
        ("a password", None),
        ("", None),
    ],
)
def test_what_is_a_reference(text: str, found: Reference | None) -> None:
    assert reference(text) == found
    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret",
        "basic.auth.user.info", "bearer.auth.token", "aws_secret_access_key", "access_key_id",
        "spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.access.key", "sasl.jaas.config",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", ["sasl.username", "endpoint", "region", "spark.jars"])
def test_names_of_what_is_none(name: str) -> None:
    assert not names_secret(name)


def test_hidden_takes_user_and_password_apart() -> None:
    assert hidden(f"no {CANARY} for ann", [f"ann1:{CANARY}", ""]) == "no *** for ann"
    assert hidden("abc", ["abc"]) == "abc"  # too short to be told from words


class TestEnvironmentAndFiles:
    def test_each_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CANARY", CANARY)
        path = tmp_path / "secret"
        path.write_text(f"{CANARY}\n")
        given = {"a": "env:CANARY", "b": f"file:{path}", "c": "plain"}
        assert resolved_options(given, "X") == {"a": CANARY, "b": CANARY, "c": "plain"}

    def test_newlines_inside_stay(self, tmp_path: Path) -> None:
        (tmp_path / "pem").write_bytes(b"one\ntwo\r\n\r\n")
        assert resolved(f"file:{tmp_path / 'pem'}", "X") == "one\ntwo\r\n"

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (None, "cannot be read: No such file"),
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"\xff\xfe", "is no text"),
            (b"x" * 70_000, "is longer than 65536 bytes"),
        ],
    )
    def test_files_that_are_no_secret(
        self, tmp_path: Path, content: bytes | None, told: str
    ) -> None:
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SecretMissingError, match=told) as caught:
            resolved(f"file:{path}", "LAKE_X[a]")
        assert str(caught.value).startswith(f"LAKE_X[a] refers to file:{path}, which ")

    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(SecretMissingError, match="Is a directory"):
            resolved(f"file:{tmp_path}", "X")

    @pytest.mark.parametrize("value", [None, ""])
    def test_variables_that_are_not_there(
        self, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        if value is not None:
            monkeypatch.setenv("NOT_THERE", value)
        with pytest.raises(SecretMissingError, match=r"LAKE_X refers to env:NOT_THERE") as caught:
            resolved("env:NOT_THERE", "LAKE_X")
        assert (caught.value.field, caught.value.value) == ("LAKE_X", "env:NOT_THERE")

    def test_only_secrets_of_options_that_have_file_urls(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CANARY", CANARY)
        given = {"spark.jars": "file:/x.jar", "spark.hadoop.fs.s3a.secret.key": "env:CANARY"}
        found = resolved_options(given, "X", only_secrets=True)
        assert found == {"spark.jars": "file:/x.jar", "spark.hadoop.fs.s3a.secret.key": CANARY}


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "found"),
        [
            ("postgresql://lake:env:PW@h:5432/db", "postgresql://lake:p%40%2F%3A%23@h:5432/db"),
            ("postgresql://lake:env%3APW@h/db", "postgresql://lake:p%40%2F%3A%23@h/db"),
            ("env:URL", "postgresql://u:x@h/db"),
            ("postgresql://lake:plain@h/db", "postgresql://lake:plain@h/db"),
            ("postgresql://lake@h/db", "postgresql://lake@h/db"),
            ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
            ("http://[::1", "http://[::1"),
            ("nonsense", "nonsense"),
            ("", ""),
        ],
    )
    def test_whole_or_password(self, monkeypatch: pytest.MonkeyPatch, url: str, found: str) -> None:
        monkeypatch.setenv("PW", "p@/:#")
        monkeypatch.setenv("URL", "postgresql://u:x@h/db")
        assert resolved_url(url, "X") == found

    def test_files_and_aws_in_a_password(self, tmp_path: Path) -> None:
        (tmp_path / "pw").write_text("one two")
        url = f"postgresql://lake:file:{tmp_path / 'pw'}@h/db"
        assert resolved_url(url, "X") == "postgresql://lake:one%20two@h/db"
        aws._known["lake/db"] = (float("inf"), '{"p": "q"}')
        found = resolved_url("postgresql://lake:aws-secrets:lake/db#p@h/db", "X")
        assert found == "postgresql://lake:q@h/db"
        aws._known.clear()

    def test_the_metastore_says_which_reference(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LAKE_METASTORE_URL", "postgresql://u:env:NOT_THERE@h/db")
        with pytest.raises(SecretMissingError, match="LAKE_METASTORE_URL refers to env:NOT_THERE"):
            compose.build_metastore(load_settings(tmp_path))


class TestSettings:
    def test_tokens_of_the_api(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("CANARY", CANARY)
        given = {"home": tmp_path, "api_tokens": {"ann:admin": "env:CANARY"}}
        tokens = Tokens.from_settings(Settings.model_validate(given))
        assert tokens.caller(f"Bearer {CANARY}").name == "ann"
        monkeypatch.delenv("CANARY")
        with pytest.raises(SecretMissingError, match=r"LAKE_API_TOKENS\[ann:admin\]"):
            Tokens.from_settings(Settings.model_validate(given))

    def test_a_variable_that_a_setting_refers_to_is_not_misspelt(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("LAKE_KAFKA_PASSWORD", CANARY)
        options = json.dumps({"sasl.password": "env:LAKE_KAFKA_PASSWORD"})
        monkeypatch.setenv("LAKE_KAFKA_OPTIONS", options)
        assert load_settings(tmp_path).kafka_options["sasl.password"] == "env:LAKE_KAFKA_PASSWORD"

    def test_storage_options(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        given = {
            "home": tmp_path, "storage_url": "s3://bucket/x",
            "storage_options": {"aws_secret_access_key": "env:NOT_THERE", "region": "eu-west-1",
                                "aws_access_key_id": "id"},
        }  # fmt: skip
        settings = Settings.model_validate(given)
        name = r"LAKE_STORAGE_OPTIONS\[aws_secret_access_key\] refers to env:NOT_THERE"
        for build in (compose.build_store, compose.spark_secrets):
            with pytest.raises(SecretMissingError, match=name):
                build(settings)
        monkeypatch.setenv("NOT_THERE", CANARY)
        name = "spark.hadoop.fs.s3a"
        keys = {f"{name}.access.key": "id", f"{name}.secret.key": CANARY}
        assert compose.spark_secrets(settings) == keys
        assert compose.build_store(settings).url("k") == "s3a://bucket/x/k"

    def test_secrets_of_spark_are_not_on_its_command_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jars_dir: Path
    ) -> None:
        monkeypatch.setenv("CANARY", CANARY)
        conf = {"spark.hadoop.fs.s3a.secret.key": "env:CANARY", "spark.executor.memory": "1g"}
        given = {"home": tmp_path, "spark_conf": conf, "jars_dir": jars_dir}
        settings = Settings.model_validate(given)
        at_start = compose.spark_config(settings)
        assert at_start["spark.executor.memory"] == "1g"
        assert CANARY not in str(at_start)
        assert compose.spark_secrets(settings) == {"spark.hadoop.fs.s3a.secret.key": CANARY}


@pytest.fixture(scope="module")
def manager() -> Iterator[str]:
    """A server with the API of AWS Secrets Manager."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class TestAws:
    @pytest.fixture(autouse=True)
    def _here(self, monkeypatch: pytest.MonkeyPatch, manager: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", manager)
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setattr(resolve, "_client", None)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        aws._known.clear()

    def _create(self, name: str, **content: str | bytes) -> None:
        boto3.client("secretsmanager", region_name="eu-west-1").create_secret(Name=name, **content)

    def test_text_and_keys(self) -> None:
        self._create("one", SecretString=CANARY)
        self._create("lake/db", SecretString=json.dumps({"password": CANARY, "port": 5432}))
        assert resolved("aws-secrets:one", "X") == CANARY
        assert resolved("aws-secrets:lake/db#password", "X") == CANARY
        assert resolved("aws-secrets:lake/db#port", "X") == "5432"

    @pytest.mark.parametrize(
        ("content", "key", "told"),
        [
            (None, "", "there is no such secret"),
            ({"SecretString": "text"}, "#a", "is no JSON object"),
            ({"SecretString": '["a"]'}, "#a", "is no JSON object"),
            ({"SecretString": '{"b": "c"}'}, "#a", "has no text under 'a'"),
            ({"SecretString": '{"a": {"b": 1}}'}, "#a", "has no text under 'a'"),
            ({"SecretString": '{"a": ""}'}, "#a", "is empty"),
            ({"SecretBinary": b"abc"}, "", "is binary"),
        ],
    )
    def test_what_is_not_there(
        self, content: dict[str, str | bytes] | None, key: str, told: str
    ) -> None:
        name = f"s-{uuid.uuid4().hex}"
        if content is not None:
            self._create(name, **content)
        with pytest.raises(SecretMissingError, match=told) as caught:
            resolved(f"aws-secrets:{name}{key}", "LAKE_X[p]")
        assert f"LAKE_X[p] refers to aws-secrets:{name}{key}" in str(caught.value)

    def test_a_manager_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(SecretMissingError, match="EndpointConnectionError"):
            resolved("aws-secrets:one", "X")

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(SecretMissingError, match="NoCredentialsError"):
            resolved("aws-secrets:one", "X")

    def test_dagster_asks_through_dagster_aws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from resources import platform, secrets

        asked: list[secrets.SecretsResource] = []
        original = secrets.secrets_resource

        def noted() -> secrets.SecretsResource:
            asked.append(original())
            return asked[-1]

        monkeypatch.setattr(secrets, "secrets_resource", noted)
        monkeypatch.setattr(resolve, "_client", platform._secrets_manager)
        self._create("dagster", SecretString=CANARY)
        assert resolved("aws-secrets:dagster", "X") == CANARY
        assert [one.max_attempts for one in asked] == [aws.ATTEMPTS]

    def test_it_is_asked_once_a_minute(self) -> None:
        self._create("kept", SecretString="first")
        assert resolved("aws-secrets:kept", "X") == "first"
        boto3.client("secretsmanager", region_name="eu-west-1").update_secret(
            SecretId="kept", SecretString="second"
        )
        assert resolved("aws-secrets:kept", "X") == "first"
        aws._known["kept"] = (aws._known["kept"][0] - aws._KEPT_SECONDS, "first")
        assert resolved("aws-secrets:kept", "X") == "second"

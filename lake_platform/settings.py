"""All settings, read once into one frozen object.

Sources, first wins: environment (`LAKE_...`), `<home>/settings.json` (written by `lake up`),
the defaults below. Only `definitions.py` and the API/CLI start call `load_settings`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from lake_platform.errors import SetupError

# For the tests, and what `lake up` knows its processes by (embedded/leftovers).
_NO_SETTINGS = ("LAKE_TEST_", "LAKE_STACK_HOME")
Port = Annotated[int, Field(ge=1, le=65_535)]


class Settings(BaseSettings):
    """Settings of one installation. Every field can be set as `LAKE_<NAME>`.

    What may hold a secret is left out of the repr, so no log or traceback shows it. There a value
    may also say where the secret is: `env:NAME`, `file:/path`, `aws-secrets:name[#key]`. It is read
    when it is needed, and kept nowhere.
    """

    model_config = SettingsConfigDict(env_prefix="LAKE_", frozen=True, extra="ignore")

    home: Path = Field(Path(".lake"), description="Directory of all local state.")
    storage_url: str = Field(
        "",
        description="Root of raw, tables, quarantine and checkpoints: `file:///dir`, "
        "`s3://bucket/prefix`, `memory:///`. Empty: `<home>/storage`.",
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="Options of the object store client, e.g. endpoint and region; "
        "credentials come from the environment.",
    )
    metastore_url: str = Field(
        "", repr=False, description="SQLAlchemy URL of the metastore. Empty: SQLite in `<home>`."
    )
    kafka_bootstrap: str = Field(
        "127.0.0.1:19092", min_length=1, description="Kafka bootstrap servers."
    )
    kafka_options: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="Extra librdkafka options (SASL_SSL and the like).",
    )
    registry_url: str = Field(
        "",
        repr=False,
        description="Schema registry (Confluent's API) of topics whose `value_format` is not json.",
    )
    registry_options: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="Options of the registry's client: `basic.auth.user.info`, "
        "`bearer.auth.token`, `ssl.ca.location` and the like.",
    )
    catalog: Literal["glue", "none"] = Field(
        "none",
        description="Where other engines find the tables of datasets that do not say (`catalog`): "
        "AWS Glue, or nowhere.",
    )
    glue_database: str = Field(
        "lake",
        pattern=r"^[a-z0-9_-]{1,252}$",
        description="Glue database of all tables: small letters, digits, _ and -.",
    )
    glue_region: str = Field(
        "", description="Region of Glue. Empty: AWS_REGION, or as the AWS profile says."
    )
    glue_endpoint_url: str = Field("", description="Endpoint in place of AWS, for tests and VPCs.")
    glue_catalog_id: str = Field(
        "", description="AWS account whose catalog it is. Empty: that of the credentials."
    )
    glue_create_database: bool = Field(
        True, description="Whether a database that is not there is made."
    )
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: Port = Field(18600, description="Port of the API.")
    api_tokens: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='Bearer tokens of the API: JSON of `"<name>:<role>": "<token>"`, role viewer, '
        "editor or admin. Without any the API is open, on a loopback address only.",
    )
    api_url: str = Field(
        "",
        description="API that `lake` asks in place of the metastore, `https://host:port`. Empty: "
        "the metastore.",
    )
    api_token: SecretStr = Field(SecretStr(""), description="Token that `lake` shows that API.")
    dagster_host: str = Field("127.0.0.1", description="Address the Dagster UI listens on.")
    dagster_port: Port = Field(13000, description="Port of the Dagster UI.")
    dagster_url: str = Field(
        "",
        pattern=r"^(https?://[^\s]+)?$",
        description="Where people reach the Dagster UI, for links in the dashboard. Empty: "
        "dagster_host and dagster_port.",
    )
    definitions_dir: Path = Field(
        Path("definitions"), description="Directory of datasets as code, read by `lake plan`."
    )
    transform_jars: str = Field(
        "",
        description="Folders that JARs of steps may come from, with `:` between them (`;` on "
        "Windows). None: no step may have one.",
    )
    spark_master: str = Field(
        "local[*]",
        validation_alias=AliasChoices("LAKE_SPARK_MASTER", "SPARK_MASTER", "spark_master"),
        description="Master of the Spark session in the run's own process.",
    )
    spark_remote: str = Field(
        "",
        validation_alias=AliasChoices("LAKE_SPARK_REMOTE", "SPARK_REMOTE", "spark_remote"),
        repr=False,
        description="Spark Connect URL, `sc://host:port`; used instead of spark_master if set.",
    )
    spark_memory: str = Field("2g", description="Memory of the local Spark driver.")
    spark_conf: dict[str, str] = Field(
        default_factory=dict, repr=False, description="Extra Spark options."
    )
    jars_dir: Path | None = Field(
        None, description="Directory of the resolved jars. None: `<home>/jars`."
    )
    slice_bytes: int = Field(
        128 << 20, ge=1, description="Most value bytes one dump slice commits at once."
    )
    slice_records: int = Field(1_000_000, ge=1, description="Most records of one dump slice.")
    dump_processes: int = Field(
        0,
        ge=0,
        description="Most processes that read one topic in a dump, by partition; 0: as many as "
        "there are cores. What one can read as fast is read by one.",
    )
    batch_bytes: int = Field(
        512 << 20, ge=1, description="Most uncompressed raw bytes one load batch applies at once."
    )
    load_budget_seconds: float = Field(
        600.0, gt=0, description="A load run takes no new batch after this many seconds."
    )
    claim_lease_seconds: float = Field(
        900.0, gt=0, description="A claim of a writer on another host counts as dead after this."
    )
    on_conflict: Literal["block", "rescue", "quarantine"] = Field(
        "block",
        description="What becomes of values that do not fit the columns, for datasets that do not "
        "say: the table stops, the value is kept in _rescued, or the record in quarantine.",
    )
    raw_retention_days: int = Field(
        0, ge=0, description="Applied raw objects older than this may be deleted; 0 keeps all."
    )
    dagster_keep_days: int = Field(
        30,
        ge=0,
        description="Finished Dagster runs older than this are deleted, except the last one that "
        "reported a window or a check; 0 keeps all.",
    )
    alert_webhook_url: SecretStr = Field(
        SecretStr(""), description="URL that alerts are sent to as JSON (POST); may hold a secret."
    )
    alert_webhook_token: SecretStr = Field(
        SecretStr(""), description="Bearer token of the webhook, where it wants one."
    )
    alert_slack_url: SecretStr = Field(
        SecretStr(""), description="Incoming webhook of Slack, or of what takes the same messages."
    )
    alert_email_to: str = Field("", description="Who gets alerts by e-mail, separated by commas.")
    alert_email_from: str = Field("", description="Sender of the e-mails.")
    alert_smtp_host: str = Field("", description="Mail server that alerts are sent through.")
    alert_smtp_port: Port = Field(587, description="Its port.")
    alert_smtp_user: str = Field("", repr=False, description="User of the mail server, if any.")
    alert_smtp_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    alert_smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection to the mail server is secured."
    )
    alert_reminder_hours: float = Field(
        24.0, ge=0, description="An alert that still fires is sent again after this; 0: never."
    )
    log_keep_commits: int = Field(1_000, ge=1, description="Raw commits the daily cleaner keeps.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The settings file comes in as init values, and the environment wins over it.
        return env_settings, init_settings

    @property
    def storage_root(self) -> str:
        return self.storage_url or (self.home / "storage").absolute().as_uri()

    @property
    def metastore(self) -> str:
        return self.metastore_url or f"sqlite:///{(self.home / 'metastore.db').absolute()}"

    @property
    def dagster_ui(self) -> str:
        return (self.dagster_url or f"http://{self.dagster_host}:{self.dagster_port}").rstrip("/")

    @property
    def jars(self) -> Path:
        return (self.jars_dir or self.home / "jars").absolute()

    @property
    def jar_folders(self) -> tuple[Path, ...]:
        """Those that JARs of steps may come from."""
        given = (part.strip() for part in self.transform_jars.split(os.pathsep))
        return tuple(Path(part).expanduser().absolute() for part in given if part)

    @property
    def settings_file(self) -> Path:
        return self.home / "settings.json"


def load_settings(home: Path | None = None) -> Settings:
    """Read the environment and `<home>/settings.json`.

    Raises:
        SetupError: a value cannot be read, or there is no such setting; names it.
    """
    base = (home or Path(os.environ.get("LAKE_HOME", ".lake"))).absolute()
    stored: dict[str, Any] = {}
    path = base / "settings.json"
    if path.exists():
        try:
            stored = json.loads(path.read_text())
        except ValueError as error:
            raise SetupError(f"{path} is not JSON ({error}); delete it and run `lake up`") from None
        if not isinstance(stored, dict):
            raise SetupError(f"{path} is not a JSON object; delete it and run `lake up`")
    _check_names(stored, lambda name: name, f"{path} has {{}}")
    texts = [v for n, v in os.environ.items() if n.startswith("LAKE_")]
    referred = set(re.findall(r"\benv:(LAKE_\w+)", json.dumps([*texts, stored])))
    given = (n for n in os.environ if n.startswith("LAKE_") and not n.startswith(_NO_SETTINGS))
    _check_names(
        set(given) - referred,
        lambda name: f"LAKE_{name.upper()}", "{} is in the environment",
    )  # fmt: skip
    stored["home"] = base
    try:
        # LAKE_HOME in the environment may be relative: the absolute one must win.
        return Settings(**stored).model_copy(update={"home": base})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        # Tokens, options and URLs may hold secrets, so no value is shown.
        raise SetupError(
            f"setting {name}: {first['msg']}; set LAKE_{name.upper()} to a valid value"
        ) from None
    except SettingsError as error:
        found = re.search(r'field "(\w+)"', str(error))
        name = found.group(1) if found else "?"
        raise SetupError(
            f"setting {name}: not JSON; set LAKE_{name.upper()} to one JSON object, as in "
            f'{{"name": "value"}}'
        ) from None


def _check_names(given: Iterable[str], spelled: Callable[[str], str], where: str) -> None:
    """A misspelt setting would leave its default in force without a word."""
    known = {spelled(name) for name in Settings.model_fields}
    for name in sorted(set(given) - known):
        near = get_close_matches(name, known, 1)
        remedy = f"did you mean {near[0]}?" if near else "take it away"
        raise SetupError(f"{where.format(name)}, and no setting has this name; {remedy}")

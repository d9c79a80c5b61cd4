"""Options of a Spark session that come from settings: which are given at its start, and which are
secrets that wait for the open session, since all of a machine can read a JVM's command line."""

from __future__ import annotations

from collections.abc import Mapping

from lake_platform.adapters.secrets.resolve import resolved_options
from lake_platform.adapters.spark.session import HADOOP
from lake_platform.domain.secrets import names_secret

_SETTING = "LAKE_SPARK_CONF"


def at_start(conf: Mapping[str, str]) -> dict[str, str]:
    """Raises: SecretMissingError."""
    now = {name: value for name, value in conf.items() if not _is_later(name)}
    return resolved_options(now, _SETTING, only_secrets=True)


def secrets(conf: Mapping[str, str], storage: Mapping[str, str]) -> dict[str, str]:
    """For `open_session`. `storage`: options of the object store client.

    Raises: SecretMissingError.
    """
    later = {name: value for name, value in conf.items() if _is_later(name)}
    keys = storage_secrets(resolved_options(storage, "LAKE_STORAGE_OPTIONS"))
    return keys | resolved_options(later, _SETTING)


def storage_secrets(options: Mapping[str, str]) -> dict[str, str]:
    """S3A's view of the credentials among the object store client's options."""
    given = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    names = {
        "access.key": given.get("access_key_id"),
        "secret.key": given.get("secret_access_key"),
        "session.token": given.get("session_token") or given.get("token"),
    }
    return {f"{HADOOP}fs.s3a.{name}": value for name, value in names.items() if value}


def _is_later(name: str) -> bool:
    return name.startswith(HADOOP) and names_secret(name)

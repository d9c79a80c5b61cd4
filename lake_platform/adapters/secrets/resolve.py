"""Secrets that settings refer to, read when a client is made and never kept: a secret that was
changed holds from the next connection on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from lake_platform.domain.secrets import Reference, names_secret, reference
from lake_platform.errors import SecretMissingError

_LONGEST_BYTES = 64 << 10


def resolved(text: str, setting: str) -> str:
    """As Resolve has it."""
    found = reference(text)
    if found is None:
        return text
    secret = _READ[found.kind](found, setting)
    if not secret:
        raise SecretMissingError(setting, str(found), "is empty", "put the secret there")
    return secret


def resolved_options(
    options: Mapping[str, str], setting: str, *, only_secrets: bool = False
) -> dict[str, str]:
    """`only_secrets`: where other options may begin with `file:` and mean it."""
    return {
        name: value
        if only_secrets and not names_secret(name)
        else resolved(value, f"{setting}[{name}]")
        for name, value in options.items()
    }


def resolved_url(url: str, setting: str) -> str:
    """The whole URL may be a reference, or the password in it."""
    if reference(url) is not None:
        return resolved(url, setting)
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    # A path and `#` end the host for urlsplit: look before the last @ by hand.
    given = url.partition("://")[2].rpartition("@")[0].partition(":")[2] or password or ""
    found = reference(unquote(given))
    if found is None:
        return url
    secret = quote(resolved(str(found), setting), safe="")
    return url.replace(f":{given}@", f":{secret}@", 1)


def _from_environment(asked: Reference, setting: str) -> str:
    if asked.name not in os.environ:
        raise SecretMissingError(
            setting, str(asked), "is not in the environment",
            f"set {asked.name} where the API, Dagster and the shell start",
        )  # fmt: skip
    return os.environ[asked.name]


def _from_file(asked: Reference, setting: str) -> str:
    """Without the newline that editors put at its end."""
    try:
        with Path(asked.name).open("rb") as stream:
            data = stream.read(_LONGEST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        why = "is no text"
    else:
        if len(data) <= _LONGEST_BYTES:
            return text.removesuffix("\n").removesuffix("\r")
        why = f"is longer than {_LONGEST_BYTES} bytes"
    raise SecretMissingError(
        setting, str(asked), why, "put the secret there, readable for who runs the platform"
    )


def _from_aws(asked: Reference, setting: str) -> str:
    from lake_platform.adapters.secrets.aws import open_manager, read

    return read(asked, setting, _client or open_manager)


_client: Callable[[], Any] | None = None


def use_aws_client(client: Callable[[], Any]) -> None:
    """Dagster brings its own, by dagster-aws."""
    global _client  # noqa: PLW0603 - one for the process, as the environment is
    _client = client


_READ = {"env": _from_environment, "file": _from_file, "aws-secrets": _from_aws}

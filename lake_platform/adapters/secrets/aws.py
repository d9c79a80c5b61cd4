"""AWS Secrets Manager. Who we are, boto3 finds as ever: AWS_... variables, profile, role."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lake_platform.domain.secrets import Reference
from lake_platform.errors import SecretMissingError

_KEPT_SECONDS = 60.0  # a dump makes several clients; each question to AWS costs money
_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3})
_WHY = {
    "ResourceNotFoundException": "there is no such secret",
    "AccessDeniedException": "may not be read: the right secretsmanager:GetSecretValue is missing",
    "DecryptionFailure": "may not be decrypted: the right kms:Decrypt is missing",
    "UnrecognizedClientException": "may not be read: AWS does not know the access key",
    "ExpiredTokenException": "may not be read: the AWS session is over",
}
_REMEDY = "check its name, AWS_REGION, and the rights of the role or access key"
_known: dict[str, tuple[float, str]] = {}


def _default_client() -> Any:
    return boto3.Session().client("secretsmanager", config=_CONFIG)


_open: Callable[[], Any] = _default_client


def use_client(client: Callable[[], Any]) -> None:
    """Dagster brings its own, made by dagster-aws."""
    global _open  # noqa: PLW0603 - one for the process, as the environment is
    _open = client


def read(asked: Reference, setting: str) -> str:
    """Raises: SecretMissingError."""
    text = _secret(asked, setting)
    if not asked.key:
        return text
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _missing(asked, setting, "is no JSON object, so it has no keys", "leave out the #key")
    value = found.get(asked.key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _missing(asked, setting, f"has no text under {asked.key!r}", "name one of its keys")
    return str(value)


def _secret(asked: Reference, setting: str) -> str:
    now = time.monotonic()
    known = _known.get(asked.name)
    if known is not None and now - known[0] < _KEPT_SECONDS:
        return known[1]
    try:
        answer = _open().get_secret_value(SecretId=asked.name)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "?"))
        raise _missing(asked, setting, _WHY.get(code, f"AWS answered {code}"), _REMEDY) from None
    except BotoCoreError as error:
        why = f"AWS was not asked: {type(error).__name__}: {error}"
        raise _missing(asked, setting, why, _REMEDY) from None
    text = answer.get("SecretString")
    if text is None:
        raise _missing(asked, setting, "is binary", "store it as text")
    _known[asked.name] = now, str(text)
    return str(text)


def _missing(asked: Reference, setting: str, why: str, remedy: str) -> SecretMissingError:
    return SecretMissingError(setting, str(asked), why, remedy)

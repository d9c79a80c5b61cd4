"""AWS Secrets Manager. Who we are, boto3 finds as ever: AWS_... variables, profile, role."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lake_platform.domain.secrets import Reference
from lake_platform.errors import SecretMissingError

_KEPT_SECONDS = 60.0  # a dump makes several clients; each question to AWS costs money
ATTEMPTS = 3
_WHY = {
    "ResourceNotFoundException": "there is no such secret",
    "AccessDeniedException": "may not be read: the right secretsmanager:GetSecretValue is missing",
    "DecryptionFailure": "may not be decrypted: the right kms:Decrypt is missing",
    "UnrecognizedClientException": "may not be read: AWS does not know the access key",
    "ExpiredTokenException": "may not be read: the AWS session is over",
}
_REMEDY = "check its name, AWS_REGION, and the rights of the role or access key"
_known: dict[str, tuple[float, str]] = {}


def open_manager(
    region: str = "", endpoint: str = "", attempts: int = ATTEMPTS, profile: str | None = None
) -> Any:
    """Seconds, not minutes: a manager that does not answer must not hang a run."""
    return boto3.Session(profile_name=profile).client(
        "secretsmanager",
        region_name=region or os.environ.get("AWS_REGION") or None,  # boto3 knows the longer name
        endpoint_url=endpoint or None,
        config=Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": attempts}),
    )


def read(asked: Reference, setting: str, client: Callable[[], Any] = open_manager) -> str:
    """Raises: SecretMissingError."""
    text = _secret(asked, setting, client)
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


def _secret(asked: Reference, setting: str, client: Callable[[], Any]) -> str:
    now = time.monotonic()
    known = _known.get(asked.name)
    if known is not None and now - known[0] < _KEPT_SECONDS:
        return known[1]
    try:
        answer = client().get_secret_value(SecretId=asked.name)
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

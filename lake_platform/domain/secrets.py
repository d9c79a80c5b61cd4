"""Secrets by reference: what a setting says in place of one, and texts that must not have one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["env", "file", "aws-secrets"]
_REFERENCE = re.compile(
    r"(?P<kind>env):(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<file>file):(?P<path>/(?!/).+)"
    r"|(?P<aws>aws-secrets):(?P<secret>[^#\s]+)(?:#(?P<key>.+))?"
)
_NAMES_SECRET = re.compile(
    r"(?i)password|passwd|secret|token|credential|access[._]?key|user\.info|jaas|key\.pem|sas_key"
)
_SHORTEST = 4  # what is shorter would be found in words that are no secret
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Reference:
    """`name`: of a variable, a file or a secret of AWS Secrets Manager; `key`: of a value in a
    secret that is a JSON object."""

    kind: Kind
    name: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" + (f"#{self.key}" if self.key else "")


Resolve = Callable[[str, str], str]
"""The secret that a text refers to, or the text itself; then the setting, for messages.

Raises: SecretMissingError."""


def reference(text: str) -> Reference | None:
    """None when `text` is a value itself."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    if found["kind"]:
        return Reference("env", found["name"])
    if found["file"]:
        return Reference("file", found["path"])
    return Reference("aws-secrets", found["secret"], found["key"] or "")


def names_secret(option: str) -> bool:
    """Whether an option's name says that its value is one."""
    return _NAMES_SECRET.search(option) is not None


def secrets_of(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value for name, value in options.items() if names_secret(name))


def hidden(text: str, secrets: Iterable[str]) -> str:
    """`text` of another program, which may say what it was given, without them."""
    for secret in sorted(secrets, key=len, reverse=True):
        parts = {secret, *secret.split(":")}  # `user:password` is one option of some clients
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= _SHORTEST:
                text = text.replace(part, HIDDEN)
    return text

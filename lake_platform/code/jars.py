"""JARs of steps: only from the folders that are allowed, only with the bytes that are on record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError

_ALLOW = "LAKE_TRANSFORM_JARS"


def read_jar(step: Transform, folders: Sequence[Path]) -> bytes:
    """The bytes of the JAR, proven to be those of `sha256`.

    Raises: InvalidFieldError, which names the file, the hash it has, and what to write.
    """
    found = list(_candidates(step, folders))
    first: tuple[Path, str] | None = None
    for path in found:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InvalidFieldError(
                "transforms.jar", step.jar, f"{path} cannot be read: {error.strerror}",
                "let the platform read it",
            ) from None  # fmt: skip
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 == step.sha256:
            return data
        first = first or (path, sha256)
    if first is None:
        raise _missing(step, folders)
    path, sha256 = first
    why = f"the step says {step.sha256}" if step.sha256 else "the step has no sha256"
    raise InvalidFieldError(
        "transforms.sha256", step.sha256, f"{path} has the sha256 {sha256}, and {why}",
        f'if this is the JAR you mean, write "sha256": "{sha256}"'
        + ("; else put back the one of before" if step.sha256 else ""),
    )  # fmt: skip


def _candidates(step: Transform, folders: Sequence[Path]) -> Iterator[Path]:
    """Files of that name in the folders; links that lead out of them are none."""
    for folder in folders:
        path = folder / step.jar  # an absolute one stays as it is
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            yield path


def _missing(step: Transform, folders: Sequence[Path]) -> InvalidFieldError:
    if not folders:
        return InvalidFieldError(
            "transforms.jar", step.jar, "no folder is allowed that JARs may come from",
            f"set {_ALLOW} to one, as in {_ALLOW}=/srv/lake/jars, where the platform runs",
        )  # fmt: skip
    listed = ", ".join(map(str, folders))
    return InvalidFieldError(
        "transforms.jar", step.jar, f"is no file in {listed}",
        f"put it there, or add its folder to {_ALLOW}",
    )  # fmt: skip

"""Steps of a trial from flags, and where its code comes from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lake_platform.errors import InvalidFieldError
from lake_platform.settings import Settings


def steps_of(flags: Sequence[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[Path]]:
    """`--sql` and `--step` in the order they stand in, and the folders of JARs that are named by
    their file: a trial is of the file that is there, so its hash is filled in."""
    steps, folders = [], []
    for name, text in flags:
        step = {"sql": text} if name == "sql" else _parsed(text)
        jar = step.get("jar")
        if isinstance(jar, str) and Path(jar).is_file():
            path = Path(jar).absolute()
            folders.append(path.parent)
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            step = {"sha256": found} | step | {"jar": path.name}
        steps.append(step)
    return steps, folders


def _parsed(text: str) -> dict[str, Any]:
    try:
        step = json.loads(text)
    except ValueError as error:
        raise InvalidFieldError(
            "step", text, f"not JSON: {error}",
            """write it as in --step '{"kind": "python", "function": "orders:tidy"}'""",
        ) from None  # fmt: skip
    if not isinstance(step, dict):
        raise InvalidFieldError("step", text, "not a JSON object", "give one step")
    return step


def code_settings(
    settings: Settings, definition: Path | None, folders: Sequence[Path]
) -> Settings:  # fmt: skip
    """With these folders of JARs besides, and the definitions that `definition` is one of."""
    jars = os.pathsep.join(_once(map(str, [*settings.jar_folders, *folders])))
    directory = settings.definitions_dir.absolute()
    if definition is not None and definition.suffix == ".py":
        path = definition.absolute()
        directory = directory if path.is_relative_to(directory) else path.parent
    return settings.model_copy(update={"transform_jars": jars, "definitions_dir": directory})


def _once(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))

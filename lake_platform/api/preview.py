"""A preview, made in a process of its own: it may need Spark, and the API must stay light."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lake_platform import errors
from lake_platform.api.parts import Body, PartsOf, Table
from lake_platform.api.security import Editor
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import EngineError, EngineUnavailableError, LakeError
from lake_platform.metastore.model import invalid_field
from lake_platform.settings import Settings
from lake_platform.trial.preview import WINDOWS, Question

router = APIRouter(prefix="/datasets", tags=["datasets"])
Previewing = Callable[[str, Question], dict[str, Any]]
_SECONDS = 600.0
_MOST_MB = 256


class Preview(BaseModel):
    """`changes` of the definition, `columns.<path>` a hint; or what is said of `incident`, as
    POST /incidents/<id>/resolve takes it. `windows`: so many of the newest hours of raw."""

    model_config = ConfigDict(extra="forbid", strict=True)

    changes: dict[str, Any] = {}
    incident: int | None = None
    resolution: str = ""
    columns: dict[str, str] = {}
    always: bool = False
    windows: int = Field(default=WINDOWS, ge=1)
    max_mb: int = Field(default=32, ge=1, le=_MOST_MB)


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Preview.model_json_schema()}},
    }
}


@router.post("/{table}/preview", openapi_extra=_BODY)
def preview(_who: Editor, table: Table, body: Body, parts: PartsOf) -> dict[str, Any]:
    """What a change would make of the newest records, side by side with what is (its form:
    docs/schema.md). Nothing is changed. One at a time; it may take a minute."""
    try:
        asked = Preview.model_validate(body)
    except ValidationError as error:
        raise invalid_field(error.errors()[0], tuple(Preview.model_fields)) from None
    parts.metastore.get(table)
    said = Asked(asked.resolution, asked.columns, asked.always)
    return parts.preview(
        table,
        Question(asked.changes, asked.incident, said, asked.windows, asked.max_mb * 1_000_000),
    )


def apart(settings: Settings) -> Previewing:
    """One at a time. What it writes is in a directory that is removed afterwards."""
    at_work = threading.Lock()

    def run(table: str, question: Question) -> dict[str, Any]:
        if not at_work.acquire(blocking=False):
            raise EngineUnavailableError("a preview is being made already; ask again after it")
        try:
            with tempfile.TemporaryDirectory(
                prefix="lake-preview-", ignore_cleanup_errors=True
            ) as work:
                ask = {
                    "table": table, "question": asdict(question), "home": str(settings.home),
                    "work": work,
                }  # fmt: skip
                return _answer(*_ran(json.dumps(ask)))
        finally:
            at_work.release()

    return run


def _ran(ask: str) -> tuple[str, str]:
    """stdout and stderr of the child. Raises: EngineError when it has no end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "lake_platform.api.preview_child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        return child.communicate(ask, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"the preview had no end after {_SECONDS:g} s, so it was ended; give fewer windows"
        ) from None
    finally:
        if child.poll() is None:  # with the JVM that it started
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()


def _answer(out: str, err: str) -> dict[str, Any]:
    """Raises: the error that the child had."""
    try:
        answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError):
        said = [line for line in err.splitlines() if line.strip()]
        raise EngineError(
            f"the process of the preview died: {(said or ['it said nothing'])[-1][:300]}; nothing "
            f"was changed, ask again"
        ) from None
    if "found" in answer:
        found: dict[str, Any] = answer["found"]
        return found
    kind: type[LakeError] = getattr(errors, answer["error"], LakeError)
    error = kind.__new__(kind)
    error.args = (answer["message"],)
    error.__dict__.update(answer["fields"])
    raise error

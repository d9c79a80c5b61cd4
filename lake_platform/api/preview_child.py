"""`python -m lake_platform.api.preview_child` reads the question from stdin and writes one line of
JSON: what was found, or the error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lake_platform import benches, compose
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import LakeError
from lake_platform.settings import load_settings
from lake_platform.trial.preview import Question, preview
from lake_platform.trial.preview_view import preview_view

_FIELDS = ("field", "value", "reason", "remedy")


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    plain = dict(asked["question"])
    question = Question(**plain | {"asked": Asked(**plain["asked"])})
    settings = load_settings(Path(asked["home"]))
    metastore = compose.build_metastore(settings)
    try:
        at_work = benches.bench_settings(settings, Path(asked["work"]))
        kafka = compose.build_kafka(settings)
        bench = benches.build_preview_bench(settings, at_work, metastore, kafka)
        return {"found": preview_view(preview(asked["table"], question, bench))}
    except LakeError as error:
        fields = {name: getattr(error, name, None) for name in _FIELDS}
        return {"error": type(error).__name__, "message": str(error), "fields": fields}
    finally:
        metastore.close()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.load(sys.stdin)), default=str) + "\n")

"""Where the corpora are that do not belong to this repository; tests over them skip elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(os.environ.get("LAKE_TEST_DATA") or Path(__file__).parents[2] / "shared/data")
JSON_SUITE = DATA / "json-test-suite/test_parsing"
TOPICS = DATA / "kafka-demo-topics"

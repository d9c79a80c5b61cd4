"""How often a property is tried, and on what.

`make test` takes half of the examples, the same each time: it says what a commit is worth, and says
it twice alike. `LAKE_TEST_TRIES=40` takes forty times all, others in each run: `make chaos-input`.
"""

from __future__ import annotations

import os

from hypothesis import settings

_TRIES = int(os.environ.get("LAKE_TEST_TRIES", "0"))

settings.register_profile("lake", deadline=None, derandomize=not _TRIES)
settings.load_profile("lake")


def examples(count: int) -> settings:
    return settings(max_examples=count * _TRIES or count // 2)

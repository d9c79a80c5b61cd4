"""Base files in a Hudi table that the commit of their instant does not name.

A writer that was taken for dead in a compaction and wakes goes on writing base files of it, though
somebody else completed it meanwhile. Hudi removes strays before it completes an instant, not
after; hudi-rs refuses a table with two base files of one instant in a group, Spark takes either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from lake_platform.adapters.hudi import timeline
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.storage import ObjectStore

_BASE_FILE = re.compile(r"[^.].*_(\d+)\.parquet")


def strays(store: ObjectStore, table: str) -> list[str]:
    """Keys of base files of instants that are completed on the active timeline, and which these do
    not name. What is archived or still at work is left alone: nobody can say what belongs to it."""
    files = list(_base_files(store, table))
    named = timeline.files_by_instant(store, table)
    return [
        key
        for key, instant in files
        if instant in named and PurePosixPath(key).name not in named[instant]
    ]


def _base_files(store: ObjectStore, table: str) -> Iterator[tuple[str, str]]:
    """Key and instant."""
    root = table_prefix(table)
    for info in store.list(root):
        found = _BASE_FILE.fullmatch(PurePosixPath(info.key).name)
        if found and not info.key.startswith(f"{root}.hoodie/"):
            yield info.key, found[1]

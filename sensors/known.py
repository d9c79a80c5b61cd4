"""What a tick knows of the datasets: two reads of the metastore, however many there are."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import structlog

from assets.windows import Windows
from lake_platform.domain.progress import DatasetRecord, Progress
from resources.platform import PlatformResource

_log = structlog.get_logger(__name__)


@contextmanager
def apart(table: str) -> Iterator[None]:
    """Whatever is wrong with one dataset must not end the tick that serves all of them."""
    try:
        yield
    except Exception as error:
        _log.error("dataset left out of this tick", dataset=table, error=repr(error)[:500])


@dataclass(frozen=True, slots=True)
class Known:
    """The datasets this code location has assets for; others come with its next reload."""

    records: Mapping[str, DatasetRecord]
    progress: Mapping[str, Progress]
    windows: Windows = Windows()  # noqa: RUF009 - frozen

    @classmethod
    def read(cls, platform: PlatformResource, tables: Collection[str]) -> Self:
        catalogue = platform.catalogue
        progress = catalogue.all_progress()
        # The factory has reported the broken ones.
        held = catalogue.list_all(on_broken=lambda _table, _error: None)
        known = {r.dataset.table: r for r in held if r.dataset.table in tables}
        return cls(known, {t: progress[t] for t in known}, Windows(platform.first_window))

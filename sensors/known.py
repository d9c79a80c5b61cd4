"""What a tick knows of the datasets: two reads of the metastore, however many there are."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from lake_platform.domain.ports import DatasetRecord, Progress
from resources.platform import PlatformResource


@dataclass(frozen=True, slots=True)
class Known:
    """The datasets this code location has assets for; others come with its next reload."""

    records: Mapping[str, DatasetRecord]
    progress: Mapping[str, Progress]

    @classmethod
    def read(cls, platform: PlatformResource, tables: Collection[str]) -> Self:
        catalogue = platform.catalogue
        progress = catalogue.all_progress()
        # The factory has reported the broken ones.
        held = catalogue.list_all(on_broken=lambda _table, _error: None)
        known = {r.dataset.table: r for r in held if r.dataset.table in tables}
        return cls(known, {t: progress[t] for t in known})

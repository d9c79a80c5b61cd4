"""The metastore as the load of a shadow sees it: what fails there is for who rebuilds, and neither
blocks a dataset nor opens an incident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lake_platform.domain.diff import Change
from lake_platform.domain.ports import Metastore


class _Quiet:
    def __init__(self, inner: Metastore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def block(
        self,
        _table: str,
        _changes: Sequence[Change],
        _batch: str,
        _samples: Sequence[Mapping[str, object]],
        _kind: str = "schema",
        _reason: str = "",
        **_more: object,
    ) -> int:
        return 0

    def update_progress(self, table: str, **values: int | str) -> None:
        # Failures are counted for loads that nobody looks at.
        values.pop("load_failures", None)
        self._inner.update_progress(table, **values)


def quiet(metastore: Metastore) -> Metastore:
    return cast(Metastore, _Quiet(metastore))

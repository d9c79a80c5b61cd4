"""The process that test_crash kills: dumps and loads one table over and over.

Arguments: home, bootstrap, table, jars, and where to stand still: `<call>@<part of its first
argument>`, `-` for nowhere, `once` to run once and end.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lake_platform.compose import build_limits, build_ports
from lake_platform.domain.offsets import Slice
from lake_platform.ingest.dump import dump
from lake_platform.ingest.load import load
from lake_platform.settings import load_settings


class Standing:
    """Touches a file and stands still forever before the call it was told."""

    def __init__(self, inner: Any, call: str, wanted: str, marker: Path) -> None:
        self._inner, self._call, self._wanted, self._marker = inner, call, wanted, marker

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._stopping(found) if name == self._call else found

    def _stopping(self, found: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._wanted in str(args[0]):
                self._marker.touch()
                signal.pause()
            return found(*args, **kwargs)

        return call


def main(home: Path, bootstrap: str, table: str, jars: str, where: str) -> None:
    settings = load_settings(home).model_copy(
        update={"kafka_bootstrap": bootstrap, "jars_dir": Path(jars), "spark_memory": "1g",
                "spark_master": "local[2]"}
    )  # fmt: skip
    ports = build_ports(settings)
    limits = replace(build_limits(settings), slice=Slice(1 << 20, 100), batch_bytes=20_000)
    if "@" in where:
        call, wanted = where.split("@")
        marker = home / "standing"
        ports = replace(
            ports,
            store=Standing(ports.store, call, wanted, marker),
            metastore=Standing(ports.metastore, call, wanted, marker),
        )
    while True:
        list(dump(table, ports, limits))
        list(load(table, ports, limits))
        if where == "once":
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:6])

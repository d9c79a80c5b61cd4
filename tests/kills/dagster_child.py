"""Two Dagster runs, as started by hand: dump and load of one table's newest window.

Arguments: home, bootstrap, jars, table. Prints which run succeeded; `DAGSTER_HOME` is shared.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dagster as dg

from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.translator import asset_key
from assets.windows import Windows
from lake_platform.definitions import build_definitions
from lake_platform.settings import load_settings


def main(home: Path, bootstrap: str, jars: str, table: str) -> None:
    settings = load_settings(home).model_copy(
        update={"kafka_bootstrap": bootstrap, "jars_dir": Path(jars), "spark_memory": "1g",
                "spark_master": "local[2]"}
    )  # fmt: skip
    definitions = build_definitions(settings)
    partition = _newest_window()
    with dg.DagsterInstance.get() as instance:
        for job, layer in ((DUMP_JOB, "raw"), (LOAD_JOB, "lake")):
            kind: Any = layer
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance, asset_selection=[asset_key(kind, table)],
                partition_key=partition, raise_on_error=False,
            )  # fmt: skip
            print(f"{job} {'succeeded' if result.success else 'failed'}", flush=True)


def _newest_window() -> str:
    newest = Windows().partitions().get_last_partition_key()
    assert newest is not None
    return newest


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

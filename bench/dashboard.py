"""`python -m bench.dashboard`: server time of the dashboard over 1,000 datasets, each with a day of
samples.

Wall-clock belongs to the machine and to who else is busy on it; CPU is what the server itself took.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, insert

from lake_platform import compose
from lake_platform.api.app import create_app
from lake_platform.domain.dataset import Dataset
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.samples import SLOT_MS, SLOTS
from lake_platform.metastore.tables import DatasetRow, IncidentRow, ProgressRow, SampleRow
from lake_platform.settings import Settings, load_settings

TARGET_MS = 300.0
PAGES = (
    "/ui", "/ui?sort=lag&desc=1&page=20", "/ui?trouble=late", "/ui?q=t09", "/ui/datasets/t0001",
    "/ui/incidents",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Of one page, in milliseconds."""

    page: str
    median_ms: float
    worst_ms: float
    cpu_ms: float
    kilobytes: float


def seed(settings: Settings, datasets: int) -> None:
    """Rows as use cases leave them: a tenth late, a twentieth blocked, each with a whole day."""
    compose.build_metastore(settings).close()
    now = compose.clock()
    rows, progress, samples, incidents = [], [], [], []
    for number in range(datasets):
        table, late = f"t{number:04}", number % 10 == 0
        dataset = Dataset(
            topic=table, table=table, mode="upsert", primary_key=("id",),
            domain=f"domain{number % 20}", owner="team:data", description="One of very many. " * 5,
        )  # fmt: skip
        blocked = number % 20 == 0
        rows.append({
            "table_name": table, "table_fold": table, "definition": dataset_to_dict(dataset),
            "version": 1, "status": "BLOCKED" if blocked else "LIVE",
            "registered_at": now - 10 * 86_400_000, "raw_after": 0, "raw_until": 0,
        })  # fmt: skip
        progress.append({
            "table_name": table, "head_seq": 300, "applied_seq": 300, "records_ingested": 10**6,
            "records": 10**6 - number, "quarantined": number % 7,
            "complete_through": now - (7_200_000 if late else 120_000),
        })  # fmt: skip
        samples += [
            {
                "table_name": table, "slot": now // SLOT_MS - back, "at": now - back * SLOT_MS,
                "records_ingested": 10**6 - back * (5_000 + number), "records": 10**6,
                "lag_ms": 200_000 + back * 1_000,
            }
            for back in range(SLOTS)
        ]  # fmt: skip
        if blocked:
            change = {
                "path": "n", "kind": "type", "verdict": "breaking", "before": "long",
                "after": "string",
            }  # fmt: skip
            incidents.append({
                "table_name": table, "status": "OPEN", "batch": "b", "changes": [change],
                "samples": [{"n": "x"}], "opened_at": now, "resolution": "", "resolved_by": "",
                "kind": "schema", "reason": "",
            })  # fmt: skip
    engine = create_engine(settings.metastore)
    with engine.begin() as connection:
        for kind, values in (
            (DatasetRow, rows), (ProgressRow, progress), (SampleRow, samples),
            (IncidentRow, incidents),
        ):  # fmt: skip
            connection.execute(insert(kind), values)
    engine.dispose()


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    config = uvicorn.Config(create_app(), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{settings.api_host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def measure(base: str, page: str, times: int) -> Measured:
    wall, cpu, size = [], [], 0
    with httpx.Client(base_url=base, timeout=60) as client:
        client.get(page).raise_for_status()
        for _ in range(times):
            began, busy = time.perf_counter(), time.process_time()
            reply = client.get(page)
            cpu.append(time.process_time() - busy)
            wall.append(time.perf_counter() - began)
            size = len(reply.content)
    return Measured(
        page, statistics.median(wall) * 1000, max(wall) * 1000, statistics.median(cpu) * 1000,
        size / 1000,
    )  # fmt: skip


def main(
    datasets: Annotated[int, typer.Option(min=1)] = 1_000,
    times: Annotated[int, typer.Option(min=1, help="Requests of each page.")] = 20,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Fails when the median of a page is over 300 ms."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LAKE_HOME"] = home
        settings = load_settings(Path(home))
        seed(settings, datasets)
        with served(settings) as base:
            found = [measure(base, page, times) for page in PAGES]
    console = Console()
    if as_json:
        console.print_json(json.dumps([asdict(m) for m in found]))
    else:
        grid = Table(
            "page", "median ms", "worst ms", "CPU ms", "kB", title=f"{datasets:,} datasets"
        )
        for m in found:
            numbers = (m.median_ms, m.worst_ms, m.cpu_ms, m.kilobytes)
            grid.add_row(m.page, *(f"{value:.0f}" for value in numbers))
        console.print(grid)
    if any(m.median_ms > TARGET_MS for m in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

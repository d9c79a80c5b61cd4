"""Takes the screenshots of the README from a running demo: python docs/screenshots/take.py

Needs Chromium on the machine (`apt-get install chromium`); none is downloaded. It first breaks the
schema of a small dataset of its own, so that there is a failed check to show.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from playwright.sync_api import Page, sync_playwright

from lake_platform.errors import LakeError
from lake_platform.settings import Settings, load_settings

_HERE = Path(__file__).parent
_PAGES = {
    "group": "/locations/lake_platform/asset-groups/aviation",
    "lake-asset": "/assets/lake/flights?view=events",
    "lake-checks": "/assets/lake/flights?view=checks",
    "quarantine": "/assets/quarantine/weather?view=events",
    "schema-blocked": "/assets/lake/gates?view=checks&checkDetail=schema",
}
_DASHBOARD = {
    "dashboard": ("/ui", 500),
    "dashboard-dataset": ("/ui/datasets/flights", 1_150),
    "dashboard-blocked": ("/ui/datasets/gates", 1_150),
}
_DEADLINE_SECONDS = 240


def main() -> None:
    settings = load_settings()
    break_a_schema(settings)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"],
        )  # fmt: skip
        # High enough for the three datasets of the group.
        page = browser.new_page(viewport={"width": 1440, "height": 1150})
        for name, path in _PAGES.items():
            take(page, f"http://{settings.dagster_host}:{settings.dagster_port}{path}", name)
        for name, (path, height) in _DASHBOARD.items():
            page.set_viewport_size({"width": 1280, "height": height})
            take(page, f"http://{settings.api_host}:{settings.api_port}{path}", name)
        browser.close()


def take(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2_500)  # the graph is laid out after the data came
    page.screenshot(path=str(_HERE / f"{name}.png"))
    sys.stdout.write(f"{name}.png\n")


def break_a_schema(settings: Settings) -> None:
    """Registers `gates`, waits for its table, then sends a gate number that is a text."""
    api = f"http://{settings.api_host}:{settings.api_port}"
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    for future in admin.create_topics([NewTopic("gates", 1, 1)]).values():
        future.exception()  # there already: fine
    send(settings, [{"gate": n, "terminal": "B", "open": True} for n in range(1, 40)])
    definition = {"topic": "gates", "table": "gates", "domain": "aviation", "schedule": "* * * * *"}
    httpx.post(f"{api}/datasets", json=definition, timeout=30)
    wait(lambda: int(stats(api)["applied_seq"]) >= 1)
    send(settings, [{"gate": "C12", "terminal": "C", "open": True, "level": 2}])
    wait(lambda: stats(api)["status"] == "BLOCKED")


def send(settings: Settings, values: list[dict[str, object]]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    for value in values:
        producer.produce("gates", key=str(value["gate"]), value=json.dumps(value))
    producer.flush(30)


def stats(api: str) -> dict[str, int | str]:
    found: dict[str, int | str] = httpx.get(f"{api}/datasets/gates/stats", timeout=30).json()
    return found


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise LakeError("the dataset `gates` did not get there; look at its runs in Dagster")
        time.sleep(1)


if __name__ == "__main__":
    main()

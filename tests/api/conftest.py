"""The API over in-memory Kafka, storage and SQLite, with one topic that has records."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.exceptions import StarletteDeprecationWarning

from lake_platform import benches, compose
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.api.app import create_app_with
from lake_platform.api.parts import Parts
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.storage import ObjectStore
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.settings import Settings
from tests.support import FakeWorkers

with warnings.catch_warnings():
    # It would rather have httpx2; httpx, which the platform needs anyway, does all we use.
    warnings.simplefilter("ignore", StarletteDeprecationWarning)
    from fastapi.testclient import TestClient

NOW = 1_800_000_000_000
LOCAL = "http://127.0.0.1:18600"


@dataclass
class Stack:
    """`client` talks to the app; the rest is what stands behind it."""

    client: TestClient
    kafka: MemoryKafka
    store: ObjectStore
    metastore: Repository
    ports: Ports
    notified: list[str] = field(default_factory=list)
    missing: dict[int, OffsetRange] = field(default_factory=dict)
    launched: list[tuple[str, Any]] = field(default_factory=list)


Start = Callable[..., Stack]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(tokens=…)` opens a stack on the same database each time: a restart."""
    opened: list[Stack] = []

    def open_stack(tokens: dict[str, str] | None = None) -> Stack:
        kafka = MemoryKafka()
        kafka.create_topic("orders", 2)
        for number in range(10):
            value = {"id": number, "name": f"n{number}", "day": "2026-11-24", "at": {"ms": number}}
            kafka.produce("orders", None, json.dumps(value).encode(), partition=number % 2)
        kafka.create_topic("empty")
        secrets = {name: SecretStr(token) for name, token in (tokens or {}).items()}
        settings = Settings.model_validate({"home": tmp_path, "api_tokens": secrets})
        metastore = open_repository(settings.metastore, lambda: NOW)
        store = open_store("memory:///")
        sample_settings = settings.model_copy(update={"storage_url": "memory:///"})
        notified: list[str] = []
        missing: dict[int, OffsetRange] = {}
        engine = MemoryEngine(store)
        ports = Ports(kafka, store, metastore, lambda _: engine, lambda: NOW, FakeWorkers())
        use_cases = compose.build_use_cases(metastore, kafka, notified.append, store=lambda: store)
        launched: list[tuple[str, Any]] = []

        def launch(job: str, run_config: Mapping[str, Any]) -> str:
            launched.append((job, run_config))
            return f"run-{len(launched)}"

        parts = Parts(
            use_cases=use_cases,
            kafka=kafka,
            store=store,
            missing=lambda _table: missing,
            look_ahead=compose.build_look_ahead(ports, Limits(), use_cases),
            clock=lambda: NOW + 60_000,
            launch=launch,
            bench=lambda: benches.build_check_bench(sample_settings),
            close=metastore.close,
        )
        app = create_app_with(settings, parts)
        client = TestClient(app, base_url=LOCAL, raise_server_exceptions=False)
        client.__enter__()
        stack = Stack(client, kafka, store, metastore, ports, notified, missing, launched)
        opened.append(stack)
        return stack

    yield open_stack
    for stack in opened:
        stack.client.__exit__(None, None, None)


@pytest.fixture
def stack(start: Start) -> Stack:
    return start()


@pytest.fixture
def client(stack: Stack) -> TestClient:
    return stack.client


@pytest.fixture
def orders(stack: Stack) -> Stack:
    """A stack with the upsert dataset `orders` registered."""
    body = {"topic": "orders", "table": "orders", "mode": "upsert", "primary_key": ["id"]}
    assert stack.client.post("/datasets", json=body).status_code == 201
    return stack

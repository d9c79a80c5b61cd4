"""`POST /datasets/<table>/preview`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lake_platform.trial.preview import Question
from tests.api.conftest import Stack


@pytest.fixture
def asked(orders: Stack) -> list[tuple[str, Question]]:
    """What the route asks for."""
    found: list[tuple[str, Question]] = []

    def preview(table: str, question: Question) -> dict[str, Any]:
        found.append((table, question))
        return {"table": table}

    state = orders.client.app.state  # type: ignore[attr-defined]  # FastAPI behind the client
    state.parts = replace(state.parts, preview=preview)
    return found


def test_the_body_is_the_question(orders: Stack, asked: list[tuple[str, Question]]) -> None:
    body: dict[str, Any] = {"changes": {"columns.name": {"type": "json"}}, "windows": 2}
    reply = orders.client.post("/datasets/orders/preview", json=body | {"max_mb": 5})
    assert reply.json() == {"table": "orders"}
    body = {"incident": 4, "resolution": "rescue", "columns": {"n": "reject"}, "always": True}
    assert orders.client.post("/datasets/orders/preview", json=body).status_code == 200
    (table, first), (_, second) = asked
    assert table == "orders"
    assert first.changes == {"columns.name": {"type": "json"}}
    assert (first.windows, first.most_bytes) == (2, 5_000_000)
    assert (second.incident, second.asked.resolution, second.asked.always) == (4, "rescue", True)
    assert second.asked.columns == {"n": "reject"}


@pytest.mark.parametrize(
    ("table", "body", "status", "field"),
    [
        ("nope", {"changes": {"owner": "x"}}, 404, "table"),
        ("orders", {"nonsense": 1}, 422, "nonsense"),
        ("orders", {"changes": [1]}, 422, "changes"),
        ("orders", {"windows": 0}, 422, "windows"),
        ("orders", {"max_mb": 10_000}, 422, "max_mb"),
    ],
)
def test_a_wrong_body_names_its_field(
    orders: Stack, asked: list[tuple[str, Question]], table: str, body: Any, status: int, field: str
) -> None:
    reply = orders.client.post(f"/datasets/{table}/preview", json=body)
    assert (reply.status_code, reply.json()["field"]) == (status, field)
    assert asked == []

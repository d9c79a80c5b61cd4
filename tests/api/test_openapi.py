"""The OpenAPI document says what is so: requests made from it, good ones and bad ones, get only
answers that it has, with tokens on."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from lake_platform.api.replies import REPLIES
from tests.api.conftest import Start

TOKEN = "s3cret-admin"
EXAMPLES = int(os.environ.get("LAKE_TEST_EXAMPLES", "4"))
load_all_checks()
# What fits the form may still be refused: columns that no record has, tables that are not there.
_LEFT_OUT: Any = CHECKS.get_by_names(["positive_data_acceptance"])


@pytest.fixture
def api(start: Start) -> Any:
    stack = start({"ann:admin": TOKEN})
    headers = {"authorization": f"Bearer {TOKEN}"}
    body = {"topic": "orders", "table": "orders", "mode": "upsert", "primary_key": ["id"]}
    assert stack.client.post("/datasets", json=body, headers=headers).status_code == 201
    return schemathesis.openapi.from_asgi("/openapi.json", stack.client.app)


def test_every_operation_says_who_may_and_how_it_refuses(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    operations = {(m, p): o for p, of in found["paths"].items() for m, o in of.items()}
    assert set(REPLIES) <= set(operations)
    refusing = {"401", "403", "500", "503"}
    for (method, path), operation in operations.items():
        assert operation.get("description") or operation["summary"]
        if path != "/health":
            assert operation["security"] == [{"token": []}]
            assert refusing <= set(operation["responses"]), (method, path)


schema = schemathesis.pytest.from_fixture("api")


@schema.auth()
class Bearer:
    def get(self, case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> str:  # noqa: ARG002
        return TOKEN

    def set(
        self,
        case: schemathesis.Case[Any],
        data: str,
        context: schemathesis.AuthContext,  # noqa: ARG002
    ) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_in_the_document(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(excluded_checks=_LEFT_OUT)

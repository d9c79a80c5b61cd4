"""What Glue may answer: throttled, not yet, refused, not allowed; each named, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
)

from lake_platform.adapters.glue.client import GlueCatalog
from lake_platform.domain.catalog import Column, Entry, Partition
from lake_platform.errors import (
    CatalogRefusedError,
    CatalogUnavailableError,
    LakeError,
    SetupError,
)

ENTRY = Entry("orders", "s3://b", (Column("id", "bigint"),), (Column("day", "string"),))


class Glue:
    """Answers as it is told, one call after the other; then as a Glue where all is fine."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.calls = list(answers), list[tuple[str, dict[str, Any]]]()

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def answer(**asked: Any) -> Any:
            self.calls.append((call, asked))
            given = self.answers.pop(0) if self.answers else {}
            if isinstance(given, Exception):
                raise given
            return given

        return answer


def said(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "words of Glue"}}, "Call")


def catalog(glue: Glue, pauses: list[float] | None = None) -> GlueCatalog:
    held: list[float] = [] if pauses is None else pauses
    return GlueCatalog(glue, "shop", "123456789012", sleep=held.append)


@pytest.mark.parametrize(
    "code",
    ["ConcurrentModificationException", "EntityNotFoundException", "InternalServiceException",
     "OperationTimeoutException", "ResourceNotReadyException"],
)  # fmt: skip
def test_what_passes_by_itself_is_tried_again(code: str) -> None:
    glue, pauses = Glue(said(code), said(code)), list[float]()
    catalog(glue, pauses).update(ENTRY)
    assert [call for call, _ in glue.calls] == ["update_table"] * 3
    assert len(pauses) == 2
    assert pauses == sorted(pauses)


def test_and_named_once_it_does_not_pass() -> None:
    glue = Glue(*[said("ConcurrentModificationException")] * 9)
    with pytest.raises(CatalogUnavailableError) as raised:
        catalog(glue).update(ENTRY)
    assert len(glue.calls) == 5
    for part in ("'shop'", "changing table orders", "5 tries", "words of Glue", "as it was"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (said("ThrottlingException"), CatalogUnavailableError, "ThrottlingException"),
        (EndpointConnectionError(endpoint_url="http://x"), CatalogUnavailableError, "http://x"),
        (said("AccessDeniedException"), SetupError, "docs/glue.md"),
        (said("ExpiredTokenException"), SetupError, "usual AWS credentials"),
        (NoCredentialsError(), SetupError, "credentials"),
        (NoRegionError(), SetupError, "LAKE_GLUE_REGION"),
        (said("InvalidInputException"), CatalogRefusedError, "words of Glue"),
        (said("ResourceNumberLimitExceededException"), CatalogRefusedError, "higher limit"),
        (ParamValidationError(report="bad"), CatalogRefusedError, "bad"),
    ],
)
def test_what_does_not_pass_is_named_at_once(
    error: Exception, kind: type[LakeError], told: str
) -> None:
    glue = Glue(error)
    with pytest.raises(kind, match=told):
        catalog(glue).create(ENTRY)
    assert len(glue.calls) == 1


def errors(code: str, *values: str) -> dict[str, Any]:
    detail = {"ErrorCode": code, "ErrorMessage": "words of Glue"}
    return {"Errors": [{"PartitionValues": [v], "ErrorDetail": detail} for v in values]}


def parts(count: int) -> list[Partition]:
    return [Partition((f"d{n}",), f"s3://b/day=d{n}", ENTRY.columns) for n in range(count)]


def test_a_hundred_partitions_a_call() -> None:
    glue = Glue()
    catalog(glue).put_partitions(ENTRY, parts(250), parts(101))
    sizes = [len(a.get("PartitionInputList") or a.get("Entries") or ()) for _, a in glue.calls]
    assert sizes == [100, 100, 50, 100, 1]
    assert {a["CatalogId"] for _, a in glue.calls} == {"123456789012"}
    glue = Glue()
    catalog(glue).drop_partitions("orders", [p.values for p in parts(60)])
    assert [len(a["PartitionsToDelete"]) for _, a in glue.calls] == [25, 25, 10]


def test_a_partition_that_failed_for_a_moment_is_tried_again() -> None:
    glue = Glue(
        errors("InternalServiceException", "d1"), errors("AlreadyExistsException", "d0", "d2")
    )
    catalog(glue).put_partitions(ENTRY, parts(3), [])
    calls = [call for call, _ in glue.calls]
    assert calls == ["batch_create_partition"] * 2 + ["batch_update_partition"]
    updated = [e["PartitionValueList"] for e in glue.calls[-1][1]["Entries"]]
    assert updated == [["d0"], ["d2"]]


def test_a_partition_that_is_refused_is_named() -> None:
    glue = Glue(errors("InvalidInputException", "d1"))
    with pytest.raises(CatalogRefusedError, match="partition d1: words of Glue"):
        catalog(glue).put_partitions(ENTRY, parts(3), [])


def test_pages_of_partitions_come_together() -> None:
    pages = [
        {"Partitions": [{"Values": ["d0"]}], "NextToken": "more"},
        {"Partitions": [{"Values": ["d1"]}]},
    ]
    glue = Glue(*pages)
    assert list(catalog(glue).partitions("orders")) == [("d0",), ("d1",)]
    assert glue.calls[1][1]["NextToken"] == "more"


def test_a_database_that_nobody_may_make_is_named() -> None:
    glue = Glue(said("EntityNotFoundException"))
    held = GlueCatalog(glue, "shop", create_database=False)
    with pytest.raises(CatalogRefusedError, match="LAKE_GLUE_DATABASE"):
        held.ensure()
    assert [call for call, _ in glue.calls] == ["get_database"]


def test_a_database_that_another_made_meanwhile_is_fine() -> None:
    glue = Glue(said("EntityNotFoundException"), said("AlreadyExistsException"))
    assert not catalog(glue).ensure()

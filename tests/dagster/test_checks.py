"""Checks that must not be green while data is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from assets import checks
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.progress import NEVER, DatasetRecord, Progress
from lake_platform.domain.quality import Balance

NOW = 1_793_491_200_000
DATASET = Dataset(topic="t", table="t", mode="upsert", primary_key=("id",))
LIVE = DatasetRecord(DATASET, 1, Status.LIVE, NOW)
WELL = Progress(
    head_seq=1, applied_seq=1, records=5, complete_as_of=NOW, complete_through=NOW, looked_at=NOW,
    loss_at=NOW + 86_400_000, kept_ms=86_400_000,
)  # fmt: skip
GOOD = Balance(records=5, written=5)
UNFIT = Balance(records=3, quarantined=3)


def test_all_is_well() -> None:
    for result in (
        checks.balance("t", {"b": GOOD}, WELL),
        checks.deletes("t", WELL),
        checks.freshness(LIVE, WELL, NOW),
        checks.retention(LIVE, WELL, NOW),
    ):
        assert result.passed, result


def test_deletes_are_checked_where_rows_can_be_deleted() -> None:
    assert "deletes" in checks.check_names(DATASET)
    assert "deletes" not in checks.check_names(Dataset(topic="t", table="t"))


def test_a_delete_in_quarantine_is_not_green() -> None:
    result = checks.deletes("t", replace(WELL, quarantined=2, quarantined_deletes=2))
    assert not result.passed
    assert "2 deletes are in quarantine" in str(result.description)


def test_a_table_of_which_no_record_was_fit_is_an_error() -> None:
    progress = replace(WELL, records=0, quarantined=3)
    result = checks.balance("t", {"b": UNFIT}, progress)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "no row came of 3 records" in str(result.description)


def test_newest_batches_of_bad_records_alone_are_a_warning() -> None:
    result = checks.balance("t", {"b": UNFIT, "c": UNFIT}, replace(WELL, quarantined=6))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "all 6 records of the newest 2 batches" in str(result.description)
    assert checks.balance("t", {"b": UNFIT, "c": GOOD}, replace(WELL, quarantined=3)).passed


@pytest.mark.parametrize("kind", ["TransformError", "QuarantineRatioError", "RepeatedFailureError"])
def test_a_load_that_stopped_is_not_fresh(kind: str) -> None:
    progress = replace(WELL, load_error="it says why", load_error_kind=kind)
    result = checks.freshness(LIVE, progress, NOW)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == "stopped: it says why (0 s behind, limit 900 s)"


@pytest.mark.parametrize("kind", ["EngineError", "StorageUnavailableError", "KeyError", ""])
def test_what_is_tried_again_is_red_until_it_goes_through(kind: str) -> None:
    progress = replace(WELL, load_error="it says why", load_error_kind=kind)
    result = checks.freshness(LIVE, progress, NOW)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == "the last load failed: it says why (0 s behind, limit 900 s)"
    assert result.metadata["load_error"].value == "it says why"
    assert checks.freshness(LIVE, WELL, NOW).passed


@pytest.mark.parametrize(
    "kind", ["OffsetsMissingError", "TopicRecreatedError", "OffsetsWentBackError"]
)
@pytest.mark.parametrize("known", [{}, {"loss_at": NEVER}, {"loss_at": 0}])
def test_no_check_says_no_danger_when_unread_records_are_gone(
    kind: str, known: dict[str, Any]
) -> None:
    progress = replace(WELL, dump_error="they are gone", dump_error_kind=kind, **known)
    kept = checks.retention(LIVE, progress, NOW)
    assert (kept.passed, kept.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "they are gone" in str(kept.description)
    assert not checks.freshness(LIVE, progress, NOW).passed


def test_a_broker_that_is_away_is_told() -> None:
    progress = replace(WELL, dump_error="away", dump_error_kind="KafkaUnavailableError")
    result = checks.retention(LIVE, progress, NOW)
    assert result.passed
    assert "no danger" not in str(result.description)
    assert "the last dump failed: away" in str(result.description)

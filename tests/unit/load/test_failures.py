"""What a failed dump or load leaves to be seen, and when loads that fail alike become a stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import Gap
from lake_platform.domain.progress import concerns, time_to_data_loss_seconds
from lake_platform.domain.quality import Reason
from lake_platform.errors import (
    BatchClaimedError,
    CommitRaceError,
    EngineError,
    EngineUnavailableError,
    KafkaUnavailableError,
    LakeError,
    MetastoreUnavailableError,
    NotRunnableError,
    OffsetsMissingError,
    OffsetsWentBackError,
    QuarantineRatioError,
    RepeatedFailureError,
    StorageUnavailableError,
    TopicRecreatedError,
)
from tests.support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.register()
    yield lab
    lab.close()


class Broken:
    """The lab's engine, whose writes raise one error after the other."""

    def __init__(self, lab: Lab, *errors: BaseException) -> None:
        self._engine, self._errors = lab.engine, list(errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def write(self, _: object) -> None:
        raise self._errors.pop(0)


def failing(lab: Lab, *errors: Exception) -> list[type[BaseException]]:
    """What each of these loads ends with."""
    engine = Broken(lab, *errors)
    ends: list[type[BaseException]] = []
    for _ in errors:
        with pytest.raises(Exception) as caught:
            lab.load(engine=engine)
        ends.append(caught.type)
    return ends


def waiting(lab: Lab) -> None:
    lab.send({"id": 1})
    lab.dump()


def alike(number: int) -> EngineError:
    """The same failure, as Spark words it: numbers differ each time."""
    return EngineError(
        f"Spark failed on batch 000000000001-00000000000{number}: Job aborted, task {number} in "
        f"stage {number}.0 (TID {number * 7}) part-0000{number}-3fa85f64.c000: no such column"
    )


class TestPerPhase:
    def test_an_engine_error_is_shown_until_a_load_goes_through(self, lab: Lab) -> None:
        waiting(lab)
        assert failing(lab, EngineError("no such codec")) == [EngineError]
        progress = lab.metastore.progress("t")
        assert (progress.load_error, progress.load_error_kind) == ("no such codec", "EngineError")
        assert progress.load_failures == 1
        lab.load()
        progress = lab.metastore.progress("t")
        assert (progress.load_error, progress.load_error_kind, progress.load_failures) == (
            "",
            "",
            0,
        )

    def test_a_dump_does_not_wipe_what_stands_in_the_way_of_a_load(self, lab: Lab) -> None:
        waiting(lab)
        failing(lab, EngineError("no such codec"))
        lab.send({"id": 2})
        lab.dump()
        lab.dump()
        assert lab.metastore.progress("t").load_error == "no such codec"
        assert concerns(lab.metastore.progress("t")) == ["the last load failed: no such codec"]

    def test_nor_does_a_load_wipe_the_error_of_a_dump(self, lab: Lab) -> None:
        waiting(lab)
        lab.kafka.delete_topic("topic.t")
        with pytest.raises(LakeError):
            lab.dump()
        lab.load()
        assert "does not exist" in lab.metastore.progress("t").dump_error
        lab.kafka.create_topic("topic.t")
        with pytest.raises(TopicRecreatedError):
            lab.dump()
        assert lab.metastore.progress("t").dump_error_kind == "TopicRecreatedError"

    @pytest.mark.parametrize(
        "error", [BatchClaimedError("t", "another"), CommitRaceError("another was faster")]
    )
    def test_another_writer_is_no_failure(self, lab: Lab, error: LakeError) -> None:
        waiting(lab)
        assert failing(lab, error) == [type(error)]
        assert lab.metastore.progress("t").load_error == ""

    def test_a_paused_dataset_has_not_failed(self, lab: Lab) -> None:
        waiting(lab)
        lab.metastore.pause("t", "ann")
        for phase in (lab.dump, lab.load):
            with pytest.raises(NotRunnableError):
                phase()
        assert lab.metastore.progress("t").last_error == ""

    def test_the_error_is_raised_though_it_cannot_be_noted(self, lab: Lab) -> None:
        waiting(lab)

        class Away:
            def __getattr__(self, name: str) -> Any:
                return getattr(lab.metastore, name)

            def update_progress(self, *_: object, **__: object) -> None:
                raise MetastoreUnavailableError("away")

        with pytest.raises(EngineError, match="no such codec"):
            lab.load(engine=Broken(lab, EngineError("no such codec")), metastore=Away())

    def test_a_bug_is_shown_too(self, lab: Lab) -> None:
        waiting(lab)
        assert failing(lab, KeyError("x")) == [KeyError]
        assert lab.metastore.progress("t").load_error == "KeyError: 'x'"


class TestUnreadIsGone:
    """Kafka lost what was not read: the dataset must not look well."""

    def shown(self, lab: Lab) -> tuple[str, int, float | None]:
        progress = lab.metastore.progress("t")
        left = time_to_data_loss_seconds(lab.metastore.get("t"), progress, lab.now_ms)
        return progress.dump_error_kind, progress.backlog, left

    def test_a_topic_made_anew(self, lab: Lab) -> None:
        waiting(lab)
        lab.load()
        lab.kafka.create_topic("topic.t")
        for n in range(30):
            lab.kafka.produce("topic.t", None, b'{"id":%d}' % n)
        with pytest.raises(TopicRecreatedError):
            lab.dump()
        assert self.shown(lab) == ("TopicRecreatedError", 30, 0.0)
        assert "re-created" in concerns(lab.metastore.progress("t"))[0]

    def test_offsets_that_aged_out_until_their_gap_is_accepted(self, lab: Lab) -> None:
        waiting(lab)
        for n in range(9):
            lab.send({"id": n})
        lab.kafka.expire("topic.t", 0, 5)
        with pytest.raises(OffsetsMissingError) as caught:
            lab.dump()
        assert self.shown(lab) == ("OffsetsMissingError", 9, 0.0)
        ((partition, (start, end)),) = caught.value.ranges.items()
        lab.metastore.accept_gaps("t", [Gap(partition, start, end, "ann")])
        lab.dump()
        assert self.shown(lab)[:2] == ("", 0)
        assert lab.metastore.progress("t").dump_error == ""

    def test_a_log_that_went_back(self, lab: Lab) -> None:
        waiting(lab)
        lab.kafka._topics["topic.t"][1][0].end = 0
        with pytest.raises(OffsetsWentBackError):
            lab.dump()
        assert self.shown(lab) == ("OffsetsWentBackError", 0, 0.0)

    def test_it_is_not_forgotten_over_a_broker_that_is_away(self, lab: Lab) -> None:
        waiting(lab)
        lab.kafka.create_topic("topic.t")
        with pytest.raises(TopicRecreatedError):
            lab.dump()

        class Away:
            def describe(self, _: str) -> None:
                raise KafkaUnavailableError("away")

        with pytest.raises(KafkaUnavailableError):
            lab.dump(kafka=Away())
        assert self.shown(lab)[0] == "TopicRecreatedError"


class TestRepeated:
    def test_the_third_alike_is_a_stop_with_an_incident(self, lab: Lab) -> None:
        waiting(lab)
        ends = failing(lab, *(alike(n) for n in (1, 2, 3)))
        assert ends == [EngineError, EngineError, RepeatedFailureError]
        assert lab.metastore.get("t").status == Status.BLOCKED
        (incident,) = lab.metastore.incidents("t", "OPEN")
        assert (incident.kind, incident.changes) == ("engine", ())
        assert "no such column" in incident.reason
        assert "lake datasets resume t" in lab.metastore.progress("t").load_error
        with pytest.raises(NotRunnableError, match="lake incidents list --table t"):
            lab.load()

    def test_raw_goes_on_meanwhile_and_resume_gives_all_tries_again(self, lab: Lab) -> None:
        waiting(lab)
        failing(lab, *(alike(n) for n in (1, 2, 3)))
        lab.send({"id": 2})
        assert len(lab.dump()) == 1
        assert lab.metastore.resume("t", "ann").status == Status.LIVE
        (incident,) = lab.metastore.incidents("t")
        assert (incident.resolution, incident.resolved_by) == ("try again", "ann")
        assert failing(lab, alike(4), alike(5)) == [EngineError, EngineError]
        lab.load()
        lab.account()
        assert lab.metastore.progress("t").load_error == ""

    def test_paused_meanwhile_it_is_blocked_again_when_resumed_and_tried_after_that(
        self, lab: Lab
    ) -> None:
        waiting(lab)
        failing(lab, *(alike(n) for n in (1, 2, 3)))
        lab.metastore.pause("t", "ann")
        assert lab.metastore.resume("t", "ann").status == Status.BLOCKED
        assert lab.metastore.resume("t", "ann").status == Status.LIVE

    def test_a_breaking_change_is_not_resumed(self, lab: Lab) -> None:
        waiting(lab)
        lab.load()
        lab.send({"id": "two"})
        with pytest.raises(LakeError):
            lab.cycle()
        assert lab.metastore.resume("t", "ann").status == Status.BLOCKED

    def test_a_new_failure_begins_to_count_anew(self, lab: Lab) -> None:
        waiting(lab)
        errors = [alike(1), alike(2), EngineError("another thing"), alike(3), alike(4)]
        assert set(failing(lab, *errors)) == {EngineError}
        assert lab.metastore.progress("t").load_failures == 2

    def test_a_batch_that_went_through_in_between_begins_anew(self, lab: Lab) -> None:
        for n in range(3):
            lab.send({"id": n})
            lab.dump()
            assert failing(lab, alike(1), alike(2)) == [EngineError, EngineError]
            lab.load()
        assert lab.metastore.get("t").status == Status.LIVE

    @pytest.mark.parametrize(
        "error",
        [StorageUnavailableError("s3 did not answer"), KafkaUnavailableError("away"),
         MetastoreUnavailableError("away"), EngineUnavailableError("the Spark JVM is gone"),
         OSError(28, "No space left on device"), MemoryError(), ConnectionError("reset"),
         CommitRaceError("another"), BatchClaimedError("t", "another")],
        ids=lambda e: type(e).__name__,
    )  # fmt: skip
    def test_what_comes_back_by_itself_never_stops(self, lab: Lab, error: Exception) -> None:
        waiting(lab)
        assert set(failing(lab, *[error] * 8)) == {type(error)}
        assert lab.metastore.get("t").status != Status.BLOCKED
        assert lab.metastore.incidents("t") == []
        lab.load()
        lab.account()

    def test_a_bug_that_repeats_stops_too(self, lab: Lab) -> None:
        waiting(lab)
        ends = failing(lab, KeyError("x"), KeyError("x"), KeyError("x"))
        assert ends == [KeyError, KeyError, RepeatedFailureError]

    def test_a_replay_that_fails_stops_nothing(self, lab: Lab) -> None:
        waiting(lab)
        lab.load()
        for n in range(5):
            with pytest.raises(EngineError):
                lab.load(replay=["2026-11-01-00:00"], engine=Broken(lab, alike(n)))
        assert lab.metastore.get("t").status == Status.LIVE
        assert "no such column" in lab.metastore.progress("t").load_error


class TestQuarantine:
    def test_a_dataset_of_which_nothing_was_fit_is_not_live(self, lab: Lab) -> None:
        for n in range(3):
            lab.send(b'\x00\x00\x00\x00\x07{"id":%d}' % n, reason=Reason.NOT_JSON.value)
        lab.cycle()
        lab.dump()  # caught up, nothing new
        assert lab.metastore.get("t").status == Status.BOOTSTRAPPING
        (concern,) = concerns(lab.metastore.progress("t"))
        assert concern == "no row came of 3 records: all are in quarantine"
        lab.account()
        lab.send({"id": 1})
        lab.cycle()
        assert lab.metastore.get("t").status == Status.LIVE
        assert concerns(lab.metastore.progress("t")) == []

    def test_a_stop_says_what_the_records_look_like(self, lab: Lab) -> None:
        for n in range(12):
            lab.send(b'\x00\x00\x00\x00\x07{"id":%d}' % n)
        with pytest.raises(QuarantineRatioError) as caught:
            lab.cycle()
        assert "12 of 12 records of this batch are bad (12 not one valid JSON" in str(caught.value)
        assert "12 JSON behind Confluent's five-byte prefix" in str(caught.value)
        assert lab.metastore.progress("t").load_error == str(caught.value)

    def test_deletes_in_quarantine_are_told_and_counted_once(self, tmp_path: Path) -> None:
        home = tmp_path / "upsert"
        home.mkdir()
        lab = Lab(home)
        lab.register(mode="upsert", primary_key=("id",), max_quarantine_ratio=1.0)
        lab.send({"id": 1, "v": "a"}, key="user-1")
        lab.send({"id": 2, "v": "b"})
        lab.send(None, key="user-1", reason=Reason.TOMBSTONE_KEY.value)
        lab.send(None, reason=Reason.TOMBSTONE_KEY.value)
        lab.send(b"{", reason=Reason.NOT_JSON.value)
        (done,) = lab.cycle()
        assert done.applied.balance.quarantined_deletes == 2
        assert done.applied.balance.quarantined == 3
        for _ in range(2):
            lab.load(replay=["2026-11-01-00:00"])
            assert lab.metastore.progress("t").quarantined_deletes == 2
        assert "2 deletes are in quarantine" in concerns(lab.metastore.progress("t"))[0]
        lab.account()
        lab.close()

    def test_tombstones_an_append_table_keeps_are_no_deletes(self, tmp_path: Path) -> None:
        home = tmp_path / "append"
        home.mkdir()
        lab = Lab(home)
        lab.register(tombstones="quarantine")
        lab.send({"id": 1})
        lab.send(None, key="1")
        lab.cycle()
        progress = lab.metastore.progress("t")
        assert (progress.quarantined, progress.quarantined_deletes) == (1, 0)
        lab.close()

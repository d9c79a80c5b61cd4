"""A trial's steps, outcomes and report, on the engine in memory: no Spark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.audit.files import open_files
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import EngineError, InvalidFieldError
from lake_platform.trial import feed
from lake_platform.trial.acts import parse_act
from lake_platform.trial.records import Record
from lake_platform.trial.report import Report, quarantined
from lake_platform.trial.steps import Step
from lake_platform.trial.trial import Bench, Trial
from tests.support import Lab

Make = Callable[..., Trial]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def make(lab: Lab) -> Make:
    def opened(**fields: Any) -> Trial:
        bench = Bench(
            lab.kafka,
            lab.ports(),
            replace(lab.limits, load_budget_seconds=math.inf),
            compose.build_use_cases(lab.metastore, lab.kafka),
            open_files(lab.home.as_uri(), {}, {}),
            lambda _: [],
        )
        named = {"topic": "t", "table": "t", "format": "parquet", **fields}
        return Trial(bench, Dataset(**named))

    return opened


def _send(trial: Trial, *values: str, source: str = "f") -> Step:
    return trial.batch((Record(n, v.encode()) for n, v in enumerate(values, 1)), source)


def _exit_code(trial: Trial) -> int:
    return Report(trial).exit_code


def test_batches_are_applied_and_counted(make: Make, lab: Lab) -> None:
    trial = make()
    first = _send(trial, '{"id":1}', "no json", '{"id":2}', source="a")
    second = _send(trial, '{"id":3,"x":true}', source="b")
    assert [s.outcome for s in trial.steps] == ["applied", "applied"]
    assert (first.balance.records, first.balance.written, first.balance.quarantined) == (3, 2, 1)
    assert [c["text"] for c in second.to_dict()["changes"]] == ["new column x boolean"]
    assert len(lab.read_rows(trial.dataset)) == 3
    (bad,) = quarantined(trial)
    assert (bad["source"], bad["line"], bad["value_text"]) == ("a", 2, "no json")
    assert _exit_code(trial) == 0


def test_refused_registration_is_raised_and_keeps_nothing(make: Make) -> None:
    trial = make(primary_key=("nope",), mode="upsert", format="hudi")
    with pytest.raises(InvalidFieldError, match="nope"):
        _send(trial, '{"id":1}')
    report = Report(trial, errors=[]).to_dict()
    assert (report["exit_code"], report["schema"], report["steps"]) == (1, None, [])
    assert report["definition"]["primary_key"] == ["nope"]


def test_what_waits_is_exit_code_3_and_later_batches_go_to_raw(make: Make, lab: Lab) -> None:
    trial = make()
    _send(trial, '{"id":1}')
    _send(trial, '{"id":"x"}', '{"id":2}')
    _send(trial, '{"id":3}')
    assert [s.outcome for s in trial.steps] == ["applied", "waiting", "waiting"]
    report = Report(trial).to_dict()
    assert (report["exit_code"], report["status"]) == (3, "BLOCKED")
    (incident,) = report["incidents"]
    assert incident["changes"][0]["path"] == "id"
    assert incident["samples"][0]["value"] == {"id": "x"}
    assert trial.pending() == 2
    assert len(lab.read_rows(trial.dataset)) == 1


def test_too_many_bad_records_wait_until_the_limit_is_changed(make: Make) -> None:
    trial = make()
    _send(trial, '{"id":1}', *["bad"] * 11)
    assert trial.steps[0].outcome == "waiting"
    assert _exit_code(trial) == 3
    trial.act(parse_act({"op": "change", "fields": {"max_quarantine_ratio": 1.0}}))
    trial.act(parse_act({"op": "load"}))
    assert [s.outcome for s in trial.steps] == ["waiting", "done", "applied"]
    assert _exit_code(trial) == 0


def test_operations_answer_as_the_api_does(make: Make) -> None:
    trial = make()
    _send(trial, '{"id":1}')
    for op, outcome in (
        ({"op": "add_column", "name": "at", "type": "timestamp"}, "done"),
        ({"op": "add_column", "name": "at", "type": "timestamp"}, "refused"),
        ({"op": "drop_column", "name": "at"}, "done"),
        ({"op": "change", "fields": {"mode": "upsert"}}, "refused"),
        ({"op": "change", "fields": {"owner": "me"}}, "done"),
        ({"op": "replay"}, "applied"),
        ({"op": "load"}, "nothing"),
        ({"op": "compact"}, "done"),
    ):
        step = trial.act(parse_act(op))
        assert step.outcome == outcome, step.error
    refused = trial.steps[2].to_dict()["error"]
    assert (refused["error"], refused["field"]) == ("InvalidFieldError", "name")
    assert trial.dataset.owner == "me"
    assert _exit_code(trial) == 0


def test_paused_dataset_keeps_its_records_in_the_topic(make: Make, lab: Lab) -> None:
    trial = make()
    _send(trial, '{"id":1}')
    trial.act(parse_act({"op": "pause"}))
    assert _send(trial, '{"id":2}').outcome == "waiting"
    assert _exit_code(trial) == 3
    trial.act(parse_act({"op": "resume"}))
    assert _send(trial, '{"id":3}').outcome == "applied"
    assert len(lab.read_rows(trial.dataset)) == 3


def test_engine_error_is_exit_code_1_unless_a_later_step_mends_it(
    make: Make, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make()

    def fails(_job: object) -> None:
        raise EngineError("the disk is on fire")

    with monkeypatch.context() as broken:
        broken.setattr(lab.engine, "write", fails)
        assert _send(trial, '{"id":1}').outcome == "error"
        assert _exit_code(trial) == 1
    assert trial.act(parse_act({"op": "load"})).outcome == "applied"
    assert _exit_code(trial) == 0


def test_error_nobody_foresaw_is_an_outcome_too(
    make: Make, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make()

    def fails(_job: object) -> None:
        raise ZeroDivisionError("1/0")

    monkeypatch.setattr(lab.engine, "write", fails)
    told = _send(trial, '{"id":1}').to_dict()
    assert told["outcome"] == "error"
    assert told["error"]["message"] == "ZeroDivisionError: 1/0"


def test_empty_batch_registers_without_a_schema(make: Make) -> None:
    trial = make()
    assert _send(trial, source="empty").outcome == "nothing"
    report = Report(trial).to_dict()
    assert (report["exit_code"], report["schema"]) == (0, None)
    assert "empty holds no record" in report["warnings"]
    assert _send(trial, '{"id":1}').outcome == "applied"


def test_file_of_no_objects_gets_a_hint(make: Make) -> None:
    trial = make()
    _send(trial, '[{"id":1},{"id":2}]', source="array.json")
    assert any("jq -c" in w for w in Report(trial).to_dict()["warnings"])


def test_large_files_are_dumped_in_pieces(
    make: Make, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_CHUNK_RECORDS", 10)
    trial = make()
    step = _send(trial, *(f'{{"id":{n}}}' for n in range(35)), source="a")
    assert (step.sent, step.balance.written) == (35, 35)
    start = lab.kafka.describe("t").ranges[0].start
    assert start == 35  # all of it was dumped, none is held any more
    assert trial.feed.origin(0, 34) == ("a", 35)
    assert trial.feed.origin(0, 35) is None


def test_lines_are_found_again_across_partitions_and_files(make: Make) -> None:
    trial = make()
    records = [Record(n, b'{"id":1}', partition=n % 3) for n in range(1, 10)]
    trial.batch(iter(records), "a")
    trial.batch(iter(records), "b")
    assert trial.feed.origin(2, 0) == ("a", 2)
    assert trial.feed.origin(2, 2) == ("a", 8)
    assert trial.feed.origin(2, 3) == ("b", 2)
    assert trial.feed.origin(7, 0) is None

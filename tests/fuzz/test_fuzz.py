"""A short run of the fuzzer, and that it would notice: `python -m tests.fuzz` runs a long one."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from lake_platform.records import envelope
from lake_platform.records.envelope import Classifier
from tests.fuzz import oracle
from tests.fuzz.corpus import Corpus, read_corpus
from tests.fuzz.run import BATCH, FuzzError, run, run_batch

RECORDS = 10_000
SEED = 20_261_124


def test_rows_and_quarantine_are_what_was_sent() -> None:
    report = run(RECORDS, SEED)
    tally = report.tally
    assert tally.records >= RECORDS
    assert tally.rows + tally.quarantined + tally.tombstones == tally.records
    assert tally.accepted > RECORDS // 5
    assert tally.rejected > RECORDS // 5
    assert len(tally.reasons) >= 5
    assert report.through_tables > 0


def test_a_batch_can_be_run_again() -> None:
    corpus = read_corpus()
    first, _ = run_batch(corpus, SEED, 3)
    assert run_batch(corpus, SEED, 3)[0] == first
    assert run_batch(corpus, SEED, 4)[0] != first


@pytest.fixture
def small() -> Corpus:
    return replace(read_corpus(), documents=())


def test_it_notices_a_classifier_that_believes_everything(
    small: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classifier, "sound", lambda _, value: value.startswith(b"{"))
    with pytest.raises(FuzzError, match="--batch 1"):
        run_batch(small, SEED, 1)


def test_it_notices_changed_bytes(small: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "b64encode", lambda value: b64encode(value[:-1]))
    with pytest.raises(FuzzError):
        run_batch(small, SEED, 1)


def test_it_notices_a_lost_record(small: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fuzz import check

    whole: Any = check.dump
    monkeypatch.setattr(check, "dump", lambda store, sent: whole(store, sent[: BATCH - 1]))
    with pytest.raises(FuzzError, match="lost, doubled or alien"):
        run_batch(small, SEED, 1)


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"{}", True), (b'{"a":[{"b":null}]}', True), (b' {"a":1}\r\n', True),
        (b'{"a":1e-999}', True), (b'{"a":"\\ud83d\\ude00"}', True),
        (b"[]", False), (b"null", False), (b'{"a":NaN}', False), (b'{"a":1e999}', False),
        (b'{"a":"\\ud800"}', False), (b'{"a":"\\ud800","a":1}', False), (b"\xef\xbb\xbf{}", False),
        (b'{"a":1}{}', False), (b'{"a":"\xff"}', False), (b"", False),
    ],
)  # fmt: skip
def test_the_oracle(value: bytes, accepted: bool) -> None:
    assert oracle.accepts(value) is accepted
    if accepted:
        json.loads(value)

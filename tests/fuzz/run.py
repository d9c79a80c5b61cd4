"""Batches of mutated records, each made from seed and number alone, so any can be run again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

from tests.fuzz.check import Tally, check_batch, source_of
from tests.fuzz.corpus import Corpus, read_corpus
from tests.fuzz.mutate import messages
from tests.fuzz.whole import check_table

BATCH = 500
_TABLE_EVERY = 20  # batches; the load costs more a record than the rest together


@dataclass
class Report:
    tally: Tally
    batches: int = 0
    through_tables: int = 0
    seconds: float = 0.0


class FuzzError(AssertionError):
    """A batch that broke a promise; the message says how to run it again."""


def run_batch(corpus: Corpus, seed: int, number: int) -> tuple[Tally, int]:
    """Raises: FuzzError."""
    chance = Random(f"{seed}:{number}")  # noqa: S311 - the same every time
    topic = number % len(corpus.topics)
    source = source_of(corpus.topics[topic])
    sent = messages(chance, corpus, topic, number % 7, BATCH)
    try:
        tally = check_batch(sent, source)
        loaded = check_table(sent, source) if number % _TABLE_EVERY == 0 else 0
    except Exception as error:
        raise FuzzError(
            f"seed {seed}, batch {number}: {type(error).__name__}: {str(error)[:2_000]}; "
            f"again with python -m tests.fuzz --seed {seed} --batch {number}"
        ) from error
    return tally, loaded


def run(records: int, seed: int, seconds: float = float("inf")) -> Report:
    """At least `records` records, or as many as `seconds` allow."""
    corpus, report, began = read_corpus(), Report(Tally()), time.monotonic()
    while report.tally.records < records and time.monotonic() - began < seconds:
        tally, loaded = run_batch(corpus, seed, report.batches)
        report.tally.add(tally)
        report.through_tables += loaded
        report.batches += 1
    report.seconds = time.monotonic() - began
    return report

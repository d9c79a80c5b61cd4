"""What a topic no longer holds of its beginning, and whose raw has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import OffsetRange, TopicInfo, common, listed
from lake_platform.domain.ports import Kafka
from lake_platform.metastore.repository import Repository

RawOf = Callable[[str, str], Mapping[int, OffsetRange]]
"""What raw still holds of a table, if it was read from the topic of this id (raw.log.held)."""


def start_of(
    dataset: Dataset, gone: int, store: Repository, kafka: Kafka, raw_of: RawOf
) -> list[str]:
    """Where the table begins, if that is not the topic's first record. `gone`: the newest raw
    commit of `raw_from` whose objects retention took."""
    if gone:
        return [
            f"raw retention took the objects of raw commits 1 to {gone} of {dataset.raw_from}, "
            f"so table {dataset.table} starts behind them"
        ]
    if dataset.raw_from:
        return []
    others = store.list_all(include_retired=True, on_broken=lambda _table, _error: None)
    same = {
        r.dataset.table: r.status is Status.RETIRED
        for r in others
        if r.dataset.topic == dataset.topic and not r.dataset.raw_from
    }
    return beginning_gone(dataset, kafka.describe(dataset.topic), same, raw_of)


def unread(dataset: Dataset, kafka: Kafka) -> int:
    """What a dataset that is new has before it. Raises: KafkaUnavailableError."""
    if dataset.raw_from:
        return 0  # the other one reads the topic
    return sum(map(len, kafka.describe(dataset.topic).ranges.values()))


def beginning_gone(
    dataset: Dataset, info: TopicInfo, others: Mapping[str, bool], raw_of: RawOf
) -> list[str]:
    """The table will not have what the topic lost before; raw of another dataset may. `others` with
    raw of their own, and whether each is retired."""
    gone = {p: OffsetRange(0, r.start) for p, r in info.ranges.items() if r.start}
    if not gone:
        return []
    held = {t: common(gone, raw_of(t, info.topic_id)) for t in others}
    if best := max((t for t, r in held.items() if r), key=lambda t: _offsets(held[t]), default=""):
        back = f", after lake datasets unretire {best}" if others[best] else ""
        remedy = (
            f"; to have these in a table, register one with raw_from: {best} (lake datasets add "
            f"--raw-from {best}){back}, and retire this one"
        )
    else:
        remedy = ""
    kept = [f"raw of dataset {t} has {listed(ranges)}" for t, ranges in held.items() if ranges]
    return [
        f"the beginning of topic {dataset.topic} is gone: offsets {listed(gone)} aged out or "
        f"were deleted, so table {dataset.table} starts behind them; "
        + ("; ".join(kept) or "no dataset of this platform has them in raw")
        + remedy
    ]


def _offsets(ranges: Mapping[int, OffsetRange]) -> int:
    return sum(r.end - r.start for r in ranges.values())

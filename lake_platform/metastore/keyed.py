"""The primary key of a table of change events, where its definition leaves that to the topic."""

from __future__ import annotations

from dataclasses import replace

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Look
from lake_platform.errors import InvalidFieldError


def keyed(dataset: Dataset, found: Look) -> Dataset:
    """With the columns that the keys of the topic have.

    Raises: InvalidFieldError where they do not tell, and for a topic of a connector that has no
        rows.
    """
    _check_topic(dataset)
    if dataset.mode != "upsert" or dataset.primary_key:
        return dataset
    if not found.key:
        raise InvalidFieldError(
            "primary_key", [], f"upsert needs a key, and no key of a record of topic "
            f"{dataset.topic} has columns of its rows", "name its columns",
        )  # fmt: skip
    return replace(dataset, primary_key=found.key)


def _check_topic(dataset: Dataset) -> None:
    if dataset.envelope not in ("debezium", "auto"):
        return
    for ending, what in (
        ("transaction", "boundaries of transactions"),
        ("heartbeat", "heartbeats"),
    ):
        name = dataset.topic.lower()
        if name.endswith(f".{ending}") or name.startswith(f"__debezium-{ending}"):
            raise InvalidFieldError(
                "topic", dataset.topic, f"has {what} of a connector, and no rows",
                "register the topics of its tables",
            )  # fmt: skip


def as_stored(dataset: Dataset, stored: Dataset) -> Dataset:
    """A definition that leaves the key to the topic has the one it was registered with."""
    if dataset.primary_key or dataset.envelope == "none" or dataset.mode != "upsert":
        return dataset
    return replace(dataset, primary_key=stored.primary_key)

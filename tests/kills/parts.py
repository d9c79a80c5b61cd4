"""Ports of a process that reads some partitions, which stands still as its parent does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lake_platform.adapters.pool import Outside
from lake_platform.domain.ports import Kafka
from lake_platform.domain.storage import ObjectStore
from lake_platform.settings import Settings
from tests.kills.standing import Gate, StandingKafka, StandingStore


@dataclass(frozen=True, slots=True)
class StandingOutside(Outside):
    place: Path = Path()

    @classmethod
    def of(cls, settings: Settings, place: Path) -> StandingOutside:
        return cls(
            settings.kafka_bootstrap, settings.kafka_options, settings.storage_root,
            settings.storage_options, place=place,
        )  # fmt: skip

    def open(self) -> tuple[Kafka, ObjectStore]:
        kafka, store = Outside.open(self)
        gate = Gate(self.place)
        return (
            cast(Kafka, StandingKafka("part", kafka, gate)),
            cast(ObjectStore, StandingStore("part-store", store, gate)),
        )

"""What the use cases on definitions ask of who is outside the metastore."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Look
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import Kafka
from lake_platform.domain.schema import Struct

Infer = Callable[[Kafka, Dataset], Look]
"""Schema and warnings from some of a topic's records (sight.infer.look)."""
CheckSteps = Callable[[Dataset], None]
"""Raises InvalidFieldError for a transform that cannot run, or a rule that cannot be."""
Advise = Callable[[Dataset, Struct | None], Sequence[str]]
"""Warnings about a definition and the schema of its topic (load.advice)."""
MissingRanges = Callable[[str], Mapping[int, OffsetRange]]
"""Offsets of a table's topic that were never read and are gone (ingest.dump.missing_ranges)."""
HasRawLog = Callable[[str], bool]
"""Whether the raw log of a table is in the storage."""
ExpiredSeq = Callable[[str], int]
"""The newest raw commit of a table whose objects raw retention took (raw.log.expired_seq)."""
Notify = Callable[[str], None]
"""Told the table after its definition changed; must not raise."""

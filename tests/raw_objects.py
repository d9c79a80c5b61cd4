"""Raw objects made by hand, for tests of what reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from isal import igzip

from lake_platform.domain.offsets import RawObject
from lake_platform.domain.storage import ObjectStore
from lake_platform.records.envelope import Classifier

AT_MS = 1_793_491_200_000  # 2026-11-01 00:00 UTC


def raw_object(
    store: ObjectStore, values: Sequence[bytes | None], partition: int = 0, first: int = 0
) -> RawObject:
    """Offset, timestamp and key count on with the values."""
    classifier = Classifier()
    lines = [
        classifier.line(
            b'{"partition":%d,"offset":%d,"timestamp":%d' % (partition, at, AT_MS + at),
            b"k%d" % at, None, value,
        )[0].replace(b"\n", b" ")[:-1]
        + b"\n"
        for at, value in enumerate(values, first)
    ]  # fmt: skip
    data = igzip.compress(b"".join(lines), compresslevel=1, mtime=0)
    key = f"raw/t/2026/11/01/00/t-p{partition}-{first}-x.json.gz"
    store.put(key, data)
    return RawObject(
        key=key, partition=partition, window="2026-11-01-00:00", first_offset=first,
        last_offset=first + len(values) - 1, records=len(values), raw_bytes=sum(map(len, lines)),
        stored_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), min_timestamp=AT_MS,
        max_timestamp=AT_MS, offset_sum=0,
    )  # fmt: skip

"""Where everything lives under the storage root. Keys are relative, `/`-separated."""

from __future__ import annotations

import re

from lake_platform.domain.windows import window_path
from lake_platform.errors import InvalidFieldError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}\Z")
SEQ_DIGITS = 20


def check_name(field: str, value: str) -> str:
    """A name that is safe as a path part, an asset key and a table name.

    Raises:
        InvalidFieldError: anything but 1-249 of `A-Z a-z 0-9 . _ -`, or `.` and `..`.
    """
    if not _NAME.match(value) or value in {".", ".."}:
        raise InvalidFieldError(
            field, value, "not a valid name", "use 1 to 249 letters, digits, '.', '_' or '-'"
        )
    return value


def seq_name(seq: int) -> str:
    return f"{seq:0{SEQ_DIGITS}d}"


def raw_key(
    topic: str, table: str, window: str, partition: int, first: int, last: int, nonce: str
) -> str:
    name = f"{table}-p{partition}-{first}-{last}-{nonce}.json.gz"
    return f"{raw_prefix(topic)}{window_path(window)}/{name}"


def raw_prefix(topic: str) -> str:
    return f"raw/{topic}/"


def raw_log_prefix(table: str) -> str:
    return f"checkpoints/{table}/phase1/"


def raw_schemas_prefix(table: str) -> str:
    return f"checkpoints/{table}/schemas/"


def raw_log_snapshot_prefix(table: str) -> str:
    return f"checkpoints/{table}/phase1-snapshots/"


def claim_prefix(table: str) -> str:
    return f"checkpoints/{table}/phase2/claims/"


def batch_log_prefix(table: str) -> str:
    """Batch log of a Parquet table; a Hudi table keeps it in its own timeline."""
    return f"checkpoints/{table}/phase2/batches/"


def locks_prefix(table: str) -> str:
    return f"checkpoints/{table}/phase2/locks/"


def lock_prefix(table: str, epoch: int) -> str:
    return f"{locks_prefix(table)}{seq_name(epoch)}/"


def swap_key(table: str, epoch: int) -> str:
    """What the holder of this claim swaps in, or that it must not any more."""
    return f"checkpoints/{table}/phase2/swaps/{seq_name(epoch)}.json"


def emptied_key(table: str, epoch: int) -> str:
    """There once the old table is gone, in that swap."""
    return f"checkpoints/{table}/phase2/swaps/{seq_name(epoch)}.emptied"


def checkpoints_prefix(table: str) -> str:
    return f"checkpoints/{table}/"


def table_prefix(table: str) -> str:
    return f"lake/{table}/"


def staging_root(table: str) -> str:
    return f"staging/{table}/"


def staging_prefix(table: str, batch: str, nonce: str) -> str:
    return f"{staging_root(table)}{batch}/{nonce}/"


def staged_by(key: str) -> str:
    """The nonce of the claim whose staging the object is in."""
    return key.split("/")[3]


def quarantine_prefix(table: str) -> str:
    return f"quarantine/{table}/"


def quarantine_key(table: str, window: str, commit: str) -> str:
    return f"{quarantine_prefix(table)}{window_path(window)}/{commit}.json.gz"

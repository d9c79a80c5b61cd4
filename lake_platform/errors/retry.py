"""An outside system did not answer, or another writer was faster; a retry is safe."""

from __future__ import annotations

from lake_platform.errors.root import LakeError


class RetryableError(LakeError):
    """An outside system did not answer, or another writer was faster; a retry is safe.

    What was asked of a system that did not answer may have been done all the same."""


class KafkaUnavailableError(RetryableError):
    pass


class KafkaRefusedError(KafkaUnavailableError):
    """Kafka does not let us in: credentials, certificates or the kind of listener are wrong."""


class KafkaDeniedError(KafkaUnavailableError):
    """Kafka knows us, and a right is missing."""

    def __init__(self, bootstrap: str, right: str, principal: str, command: str) -> None:
        self.reason = f"{principal} has not the right {right}"
        self.remedy = f"grant it, then try again: {command}"
        super().__init__(f"Kafka at {bootstrap}: {self.reason}; nothing was changed; {self.remedy}")
        self.right, self.principal = right, principal


class RegistryUnavailableError(RetryableError):
    pass


class StorageUnavailableError(RetryableError):
    pass


class MetastoreUnavailableError(RetryableError):
    pass


class DeliveryError(RetryableError):
    """A receiver of alerts did not take a message; neither its address nor a secret is told."""

    def __init__(self, receiver: str, why: str) -> None:
        super().__init__(f"alerts are not delivered to {receiver}: {why}")
        self.receiver, self.why = receiver, why


class ApiUnavailableError(RetryableError):
    """The API at LAKE_API_URL did not answer, or something else did."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"the API at {url} {why}; what was asked may have been done although no answer came: "
            f"look, then try again, and check LAKE_API_URL"
        )
        self.url = url


class DagsterUnavailableError(RetryableError):
    """Dagster does not run, or did not answer."""


class ReloadError(RetryableError):
    """Dagster answered that a code location did not load."""


class EngineError(RetryableError):
    """Spark failed in a way that is not about the data."""


class EngineUnavailableError(EngineError):
    """The engine is gone, or a system it needs did not answer; the batch is not what is wrong."""


class CommitRaceError(RetryableError):
    """Another writer committed this dataset first."""


class WorkerLostError(RetryableError):
    """A process that did a share of the work ended in the middle of it."""

    def __init__(self, work: str, pid: int, how: str) -> None:
        super().__init__(
            f"{work}: its process {pid} {how}; nothing of it was committed, so try again, and "
            f"look at the machine's memory if it was killed: fewer processes need less"
        )
        self.work, self.pid, self.how = work, pid, how


class UnsettledTableError(RetryableError):
    """A table that is being written cannot be counted."""

    def __init__(self, table: str, why: str) -> None:
        super().__init__(
            f"table {table!r}: {why}, so nothing can be said of it; audit again after `lake load "
            f"{table}` or the run that loads it"
        )
        self.table = table


class NoRecordYetError(RetryableError):
    """Raw has no record yet that says what columns the table has, and the definition needs some."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"table {table!r}: no record in raw says yet what columns there are (all are "
            f"tombstones or cannot be read), and the definition names some; they wait for one that "
            f"does"
        )
        self.table = table


class BatchClaimedError(RetryableError):
    """A live writer holds the claim on this table's next batch."""

    def __init__(self, table: str, owner: str) -> None:
        super().__init__(
            f"table {table!r} is being loaded by {owner}; this load does nothing, the next one "
            f"goes on where that one stops"
        )
        self.table, self.owner = table, owner

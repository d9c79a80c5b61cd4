"""The caller must change what was asked for."""

from __future__ import annotations

from lake_platform.errors.root import LakeError


class FixConfigError(LakeError):
    """The caller must change what was asked for; a retry gives the same answer.

    Where it is about one field, the attributes say which, what was given, why not, what to do.
    """

    field: str | None = None
    value: object = None
    reason: str | None = None
    remedy: str | None = None


class InvalidFieldError(FixConfigError):
    """A field of a definition or request cannot be accepted."""

    def __init__(self, field: str, value: object, reason: str, remedy: str) -> None:
        shown = repr(value) if len(repr(value)) <= 120 else repr(value)[:117] + "..."
        super().__init__(f"{field}={shown}: {reason}; {remedy}")
        self.field, self.value, self.reason, self.remedy = field, value, reason, remedy


class DatasetNotFoundError(FixConfigError):
    def __init__(self, dataset: str) -> None:
        self.reason, self.remedy = "is not registered", "`lake datasets list` shows all"
        super().__init__(f"dataset {dataset!r} {self.reason}; {self.remedy}")
        self.field, self.value, self.dataset = "table", dataset, dataset


class NameTakenError(FixConfigError):
    def __init__(self, table: str) -> None:
        self.reason = "is already registered"
        self.remedy = (
            "choose another name (case does not count), or change the dataset there is with "
            "`lake datasets set` or PATCH /datasets/<table>"
        )
        super().__init__(f"table {table!r} {self.reason}; {self.remedy}")
        self.field, self.value, self.table = "table", table, table


class IncidentNotFoundError(FixConfigError):
    def __init__(self, incident: int) -> None:
        self.reason, self.remedy = "there is none", "`lake incidents list --all` shows all"
        super().__init__(f"there is no incident {incident}; {self.remedy}")
        self.field, self.value, self.incident = "incident", incident, incident


class SchemaVersionNotFoundError(FixConfigError):
    def __init__(self, table: str, version: int, newest: int) -> None:
        self.reason = f"there is no such schema version of {table}"
        there = f"its versions are 1 to {newest}" if newest > 1 else "it has version 1 only"
        self.remedy = there if newest else "it has none: its topic is empty"
        super().__init__(f"version={version}: {self.reason}; {self.remedy}")
        self.field, self.value, self.table = "version", version, table


class ConflictError(FixConfigError):
    """A compare-and-set lost: somebody changed the dataset in between."""

    def __init__(self, dataset: str, expected: int, actual: int) -> None:
        self.reason = f"dataset {dataset!r} is at version {actual}"
        self.remedy = "read it again and repeat the change"
        super().__init__(
            f"{self.reason}, your change was made against version {expected}; {self.remedy}"
        )
        self.field, self.value = "version", expected
        self.dataset, self.expected, self.actual = dataset, expected, actual


class NotAuthenticatedError(FixConfigError):
    """No token, or one that is not known."""


class NotAllowedError(FixConfigError):
    """The caller is known and may not do this."""


class BodyTooLargeError(FixConfigError):
    def __init__(self, limit_bytes: int) -> None:
        self.reason = f"larger than {limit_bytes} bytes"
        self.remedy = "nothing was changed, send less"
        super().__init__(f"the request body is {self.reason}; {self.remedy}")
        self.field, self.limit_bytes = "body", limit_bytes


class UnsupportedError(FixConfigError):
    """Asked for something this build or engine cannot do."""


class NotOverApiError(UnsupportedError):
    """`command` is told by who knows which one it is."""

    def __init__(self, url: str, command: str = "this command") -> None:
        super().__init__(
            f"{command} works on the metastore and the data themselves, not over an API; run it "
            f"where the platform is, without LAKE_API_URL (it is {url})"
        )
        self.url = url


class SetupError(FixConfigError):
    """The machine or the settings lack something: Java, a free port, a jar."""


class NoMetastoreError(SetupError):
    """There is none where the settings say, and what was asked for makes none."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"there is no metastore {where} yet, so nothing is registered; `lake up` or `lake "
            f"datasets add` makes it, or say where yours is: --home, LAKE_HOME or "
            f"LAKE_METASTORE_URL"
        )


class SecretMissingError(SetupError):
    """A setting refers to a secret that cannot be read."""

    def __init__(self, setting: str, reference: str, reason: str, remedy: str) -> None:
        super().__init__(f"{setting} refers to {reference}, which {reason}; {remedy}")
        self.field, self.value, self.reason, self.remedy = setting, reference, reason, remedy


class NothingToAuditError(FixConfigError):
    """The storage holds nothing of the dataset that could be held against Kafka."""

    def __init__(self, table: str, root: str, recorded: int) -> None:
        self.reason = f"there is no raw commit log under {root}"
        self.remedy = (
            f"{recorded} raw commits were recorded, so this is another storage, or it was emptied: "
            f"check LAKE_STORAGE_URL"
            if recorded
            else f"dump it first: lake dump {table}; or check LAKE_STORAGE_URL"
        )
        super().__init__(f"dataset {table!r}: {self.reason}; {self.remedy}")
        self.field, self.value, self.table = "table", table, table
        self.recorded = recorded


class NothingToQueryError(FixConfigError):
    """Nothing is loaded into the table."""

    def __init__(self, table: str) -> None:
        self.reason = "nothing is loaded, so there is no table yet"
        self.remedy = f"load it first: lake load {table}, or wait for its first load"
        super().__init__(f"dataset {table!r}: {self.reason}; {self.remedy}")
        self.field, self.value, self.table = "table", table, table


class NotRunnableError(FixConfigError):
    """The dataset's status forbids this."""

    def __init__(self, dataset: str, status: str) -> None:
        remedies = {
            "PAUSED": f"resume it first: lake datasets resume {dataset}",
            "RETIRED": f"take it back first: lake datasets unretire {dataset}",
            "BLOCKED": f"see why: lake incidents list --table {dataset}",
        }
        self.reason, self.remedy = "its status forbids it", remedies[status]
        super().__init__(f"dataset {dataset!r} is {status}; {self.remedy}")
        self.field, self.value, self.dataset, self.status = "status", status, dataset, status

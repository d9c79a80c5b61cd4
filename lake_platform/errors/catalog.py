"""What can go wrong between a table and its entry in a catalog. The table itself is never it."""

from __future__ import annotations

from lake_platform.errors.config import FixConfigError
from lake_platform.errors.retry import RetryableError


class CatalogUnavailableError(RetryableError):
    """The catalog did not answer, or throttled us, and did so through all tries."""

    def __init__(self, address: str, did: str, why: str) -> None:
        super().__init__(
            f"{address}: {did} came to nothing: {why}. The table itself is as it was, and a sync "
            f"may be done again at any time: lake catalog sync"
        )
        self.address, self.did, self.why = address, did, why


class CatalogRefusedError(FixConfigError):
    """The catalog does not take what it was given."""

    def __init__(self, address: str, did: str, why: str, remedy: str) -> None:
        super().__init__(f"{address}: {did} was refused: {why}; {remedy}")
        self.address, self.did, self.reason, self.remedy = address, did, why, remedy


class ForeignTableError(FixConfigError):
    """An entry of the table's name is somebody else's; it is never overwritten."""

    def __init__(self, address: str, name: str, owner: str, location: str) -> None:
        whose = f"is of dataset {owner}" if owner else "was not made by this platform"
        self.reason = f"there is a table {name!r} that {whose} (location {location or 'none'})"
        self.remedy = (
            "nothing of it was changed. Drop it there if it is of no use, give this dataset's "
            "tables another database with LAKE_GLUE_DATABASE, or leave the dataset out: "
            "lake datasets set <table> catalog=none"
        )
        super().__init__(f"{address}: {self.reason}; {self.remedy}")
        self.field, self.value, self.address, self.owner = "table", name, address, owner

"""The metastore as the commands of the shell read it, over the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lake_platform.domain.decisions import Decision
from lake_platform.domain.described import Line
from lake_platform.domain.offsets import Gap
from lake_platform.domain.progress import DatasetRecord, Progress, SchemaVersion
from lake_platform.errors import LakeError
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.unit import AuditEntry
from lake_platform.remote import forms
from lake_platform.remote.client import ApiClient


class RemoteMetastore:
    """The part of Repository that commands over the API need, by the same names."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @property
    def place(self) -> str:
        return self._client.url

    def close(self) -> None:
        self._client.close()

    def list_all(
        self,
        *,
        include_retired: bool = False,
        on_broken: Callable[[str, LakeError], None] | None = None,
    ) -> list[DatasetRecord]:
        found = self._client.get("datasets", include_retired=include_retired)
        records = []
        for one in found["datasets"]:
            try:
                records.append(forms.record(one))
            except LakeError as error:
                if on_broken is None:
                    raise
                on_broken(one["table"], error)
        for table, why in found["broken"].items():
            if on_broken is None:
                raise LakeError(why)
            on_broken(table, LakeError(why))
        return records

    def get(self, table: str) -> DatasetRecord:
        return forms.record(self._client.get("datasets", table))

    def all_progress(self) -> Mapping[str, Progress]:
        found: dict[str, Any] = self._client.get("shell", "progress")["progress"]
        return {table: forms.flat(Progress, one) for table, one in found.items()}

    def progress(self, table: str) -> Progress:
        return forms.flat(Progress, self._client.get("datasets", table, "stats"))

    def schema_versions(self, table: str) -> list[SchemaVersion]:
        return [forms.version(v) for v in self._client.get("shell", "schemas", table)["versions"]]

    def active_schema(self, table: str) -> SchemaVersion | None:
        versions = self.schema_versions(table)
        return versions[-1] if versions else None

    def mapping(self, table: str, upto: int | None = None) -> list[Line]:
        found = self._client.get("shell", "schemas", table, upto=upto)["mapping"]
        return [(one["version"], forms.mapped(one)) for one in found]

    def incidents(
        self, table: str | None = None, status: str | None = None, limit: int = 100
    ) -> list[Incident]:
        found = self._client.get("incidents", table=table, status=status, limit=min(limit, 1000))
        return [forms.flat(Incident, one) for one in found["incidents"]]

    def incident(self, number: int) -> Incident:
        return forms.flat(Incident, self._client.get("incidents", str(number)))

    def decisions(self, table: str) -> Sequence[Decision]:
        found = self._client.get("decisions", table)["decisions"]
        return [forms.flat(Decision, one) for one in found]

    def accepted_gaps(self, table: str) -> Sequence[Gap]:
        return [forms.flat(Gap, one) for one in self._client.get("gaps", table=table)["accepted"]]

    def audit_log(self, table: str | None = None, limit: int = 100) -> list[AuditEntry]:
        found = self._client.get("audit", table=table, limit=min(limit, 1000))["entries"]
        return [forms.flat(AuditEntry, one) for one in found]

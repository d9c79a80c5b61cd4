"""The use cases on definitions, done by the API under the role of its token. `actor` is not sent:
the API knows who asks by the token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lake_platform.code.fingerprint import fingerprint
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.offsets import Gap
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.registration import Registration
from lake_platform.remote import forms
from lake_platform.remote.client import ApiClient
from lake_platform.remote.metastore import RemoteMetastore


@dataclass(frozen=True)
class Look:
    warnings: Sequence[str]


class RemoteUseCases:
    """The part of UseCases that commands over the API need, by the same names."""

    def __init__(self, client: ApiClient, store: RemoteMetastore, definitions: Path) -> None:
        self._client, self.store, self._definitions = client, store, definitions

    def pinned(self, dataset: Dataset) -> Dataset:
        """`dataset` with the hash of each function of the definitions here; the API holds them,
        and JARs, against what it has."""
        steps = [
            replace(step, sha256=fingerprint(self._definitions, step.function))
            if step.kind == "python" and not step.sha256
            else step
            for step in dataset.transforms
        ]
        return replace(dataset, transforms=tuple(steps))

    def register_dataset(self, dataset: Dataset, actor: str) -> Registration:  # noqa: ARG002
        found = self._client.ask("POST", ("datasets",), dataset_to_dict(dataset))
        schema = self.store.active_schema(dataset.table) if found["schema"] else None
        mapped = [forms.mapped(one) for one in found["mapping"]]
        return Registration(forms.record(found), schema, mapped, found["warnings"])

    def change_dataset(
        self,
        table: str,
        changes: Mapping[str, Any],
        version: int,
        actor: str,  # noqa: ARG002
        told: Callable[[str], object] = lambda _: None,
    ) -> DatasetRecord:
        found = self._client.ask("PATCH", ("datasets", table), {**changes, "version": version})
        for text in found["schema_changes"]:
            told(text)
        return forms.record(found)

    def pause(self, table: str, actor: str) -> DatasetRecord:  # noqa: ARG002
        return forms.record(self._client.ask("POST", ("datasets", table, "pause")))

    def resume(self, table: str, actor: str) -> DatasetRecord:  # noqa: ARG002
        return forms.record(self._client.ask("POST", ("datasets", table, "resume")))

    def retire(self, table: str, actor: str) -> DatasetRecord:  # noqa: ARG002
        return forms.record(self._client.ask("DELETE", ("datasets", table)))

    def unretire(self, table: str, actor: str) -> DatasetRecord:  # noqa: ARG002
        return forms.record(self._client.ask("POST", ("datasets", table, "unretire")))

    def check(self, dataset: Dataset) -> Sequence[str]:
        body = dataset_to_dict(dataset)
        changes: list[str] = self._client.ask("POST", ("shell", "check"), body)["schema_changes"]
        return changes

    def look(self, dataset: Dataset) -> Look:
        body = dataset_to_dict(dataset)
        found = self._client.ask("POST", ("shell", "check"), body, {"look": True})
        return Look(found["warnings"])

    def add_column(self, table: str, name: str, kind: str, actor: str) -> SchemaVersion:  # noqa: ARG002
        body = {"name": name, "type": kind}
        self._client.ask("POST", ("datasets", table, "schema", "columns"), body)
        return self._newest(table)

    def drop_column(self, table: str, name: str, actor: str) -> SchemaVersion:  # noqa: ARG002
        self._client.ask("DELETE", ("datasets", table, "schema", "columns", name))
        return self._newest(table)

    def widen_column(self, table: str, column: str, kind: str, actor: str) -> SchemaVersion:  # noqa: ARG002
        path = ("datasets", table, "schema", "columns", column)
        self._client.ask("PATCH", path, {"type": kind})
        return self._newest(table)

    def rebuilding(self, incident: int, asked: Asked) -> None:
        """What makes the table anew is begun where the platform is: the API says so."""

    def resolve_incident(self, incident: int, asked: Asked, actor: str) -> Incident:  # noqa: ARG002
        path = ("incidents", str(incident), "resolve")
        return forms.flat(Incident, self._client.ask("POST", path, plain(asked)))

    def end_decision(self, table: str, decision: int, actor: str) -> Decision:  # noqa: ARG002
        found = self._client.ask("DELETE", ("decisions", table, str(decision)))
        return forms.flat(Decision, found)

    def accept_gap(self, table: str, missing: object, actor: str) -> Sequence[Gap]:  # noqa: ARG002
        found = self._client.ask("POST", ("gaps",), {"table": table})
        return [forms.flat(Gap, one) for one in found["accepted"]]

    def _newest(self, table: str) -> SchemaVersion:
        found = self.store.active_schema(table)
        if found is None:
            raise InvalidFieldError("table", table, "has no schema yet", "wait for its first load")
        return found


def plain(asked: Asked) -> dict[str, Any]:
    body: dict[str, Any] = {"resolution": asked.resolution, "columns": dict(asked.columns)}
    body |= {"always": True} if asked.always else {}
    return body | ({"table": asked.table} if asked.table else {})

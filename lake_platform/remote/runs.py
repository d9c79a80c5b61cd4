"""What the API has Dagster do: a request only starts the run, and says where it is to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake_platform.remote.client import ApiClient
from lake_platform.remote.forms import flat

_PREVIEW_SECONDS = 660.0  # the API itself ends one after 600


@dataclass(frozen=True, slots=True)
class Run:
    """`run_id` is None where there was nothing to do."""

    job: str
    run_id: str | None = None
    run_url: str | None = None


def run_of(told: Mapping[str, Any]) -> Run:
    return flat(Run, {"job": "", **told})


def without_run(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in Run.__slots__}


@dataclass(frozen=True, slots=True)
class RemoteRuns:
    client: ApiClient

    def redrive(self, table: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The plan, and the run that was started."""
        return self.client.ask("POST", ("quarantine", table, "redrive"), _given(asked))

    def replay(self, table: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The plan, and the run that was started."""
        return self.client.ask("POST", ("replays",), {"table": table} | _given(asked))

    def alter(
        self, table: str, column: str, asked: Mapping[str, str], *, swap: bool
    ) -> dict[str, Any]:
        """The new schema version, or the run that makes the table anew."""
        path = ("datasets", table, "schema", "columns", column)
        return self.client.ask("PATCH", path, {**asked, "swap": swap})

    def resolve(self, incident: int, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The run that makes the table anew, or the incident where that is not needed."""
        path = ("incidents", str(incident), "resolve")
        return self.client.ask("POST", path, {**asked, "swap": True})

    def rebuild(self, table: str, changes: Mapping[str, Any], *, swap: bool) -> dict[str, Any]:
        body = {"changes": dict(changes), "swap": swap}
        return self.client.ask("POST", ("datasets", table, "rebuilds"), body)

    def abort(self, table: str) -> dict[str, Any] | None:
        """None: no rebuild is under way."""
        if self.client.get("datasets", table, "rebuilds")["rebuild"] is None:
            return None
        return self.client.ask("POST", ("datasets", table, "rebuilds", "abort"))

    def preview(self, table: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Waits for it: the answer is what it found."""
        path = ("datasets", table, "preview")
        return self.client.ask("POST", path, _given(body), seconds=_PREVIEW_SECONDS)


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was not said, which a body may not have as null."""
    return {
        name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in asked.items()
        if value is not None
    }

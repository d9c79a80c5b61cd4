"""Asks Dagster to run jobs, and to reload its code location, so that a changed definition shows in
the UI.

Two reloads at once nearly double each other's time, so there is one at a time; changes that come
meanwhile are answered by one more. The first reload after a crashed code server returns an error
and the second recovers, so it is repeated until the location is healthy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from lake_platform.errors import DagsterUnavailableError, LakeError, ReloadError

_log = structlog.get_logger(__name__)
_LOCATIONS = """
query { workspaceOrError { __typename
  ... on Workspace { locationEntries { name } }
  ... on PythonError { message } } }
"""
_RELOAD = """
mutation ($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename
  ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename
    ... on PythonError { message } } }
  ... on ReloadNotSupported { message }
  ... on RepositoryLocationNotFound { message }
  ... on UnauthorizedError { message }
  ... on PythonError { message } } }
"""
_REPOSITORIES = """
query { repositoriesOrError { __typename
  ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
  ... on PythonError { message } } }
"""
_LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on PipelineNotFoundError { message }
  ... on UnauthorizedError { message }
  ... on PythonError { message } } }
"""
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DagsterGraphQL:
    """`timeout_seconds` of one request: a location of 1,000 datasets reloads in 26 s."""

    url: str
    timeout_seconds: float = 60.0

    def reload(self) -> list[str]:
        """Reloads every code location; returns their names.

        Raises:
            DagsterUnavailableError: Dagster does not answer.
            ReloadError: a location is not healthy.
        """
        names = self._locations()
        for name in names:
            reply = self._ask(_RELOAD, {"name": name})["reloadRepositoryLocation"]
            if reply["__typename"] != "WorkspaceLocationEntry":
                raise ReloadError(f"{name}: {reply.get('message', reply['__typename'])}")
            loaded = reply["locationOrLoadError"] or {}
            if loaded.get("__typename") != "RepositoryLocation":
                raise ReloadError(f"{name}: {loaded.get('message', reply['loadStatus'])}")
        return names

    def launch(self, job: str, run_config: Mapping[str, Any]) -> str:
        """Starts a run of a job; returns its id.

        Raises:
            DagsterUnavailableError: Dagster does not answer, or does not take the run.
        """
        params = {"selector": self._selector(job), "runConfigData": dict(run_config)}
        reply = self._ask(_LAUNCH, {"params": params})["launchRun"]
        if reply["__typename"] != "LaunchRunSuccess":
            errors = [e["message"] for e in reply.get("errors", ())]
            why = "; ".join(errors) or reply.get("message", reply["__typename"])
            raise DagsterUnavailableError(f"Dagster did not start the job {job}: {why}")
        return str(reply["run"]["runId"])

    def _selector(self, job: str) -> dict[str, str]:
        reply = self._ask(_REPOSITORIES, {})["repositoriesOrError"]
        for node in reply.get("nodes", ()):
            if any(found["name"] == job for found in node["jobs"]):
                return {
                    "repositoryLocationName": node["location"]["name"],
                    "repositoryName": node["name"],
                    "jobName": job,
                }
        raise DagsterUnavailableError(
            f"Dagster at {self.url} has no job {job}: its code location did not load, or is of "
            f"another release"
        )

    def _locations(self) -> list[str]:
        reply = self._ask(_LOCATIONS, {})["workspaceOrError"]
        if reply["__typename"] != "Workspace":
            raise ReloadError(str(reply.get("message", reply["__typename"])))
        return [str(entry["name"]) for entry in reply["locationEntries"]]

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = httpx.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                timeout=httpx.Timeout(self.timeout_seconds, connect=2.0),
            )
            reply.raise_for_status()
            body = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            raise DagsterUnavailableError(
                f"Dagster at {self.url} did not answer ({error}); it sees changes when it "
                f"starts or is reloaded in its UI"
            ) from error
        if body.get("errors"):
            raise ReloadError(str(body["errors"][0].get("message")))
        data: dict[str, Any] = body["data"]
        return data


class Reloader:
    """Reloads in a background thread: debounced, one at a time, repeated until healthy or
    `deadline_seconds` are over. Never raises towards whoever changed a definition."""

    def __init__(
        self, dagster: DagsterGraphQL, quiet_seconds: float = 0.3, deadline_seconds: float = 120.0
    ) -> None:
        self._dagster = dagster
        self._quiet_seconds = quiet_seconds
        self._deadline_seconds = deadline_seconds
        self._condition = threading.Condition()
        self._asked = self._done = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def notify(self, table: str) -> None:
        with self._condition:
            self._asked += 1
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="reload", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        _log.info("definition changed", dataset=table)

    def wait_idle(self, timeout_seconds: float) -> bool:
        """Whether everything asked for so far was tried to its end in that time."""
        with self._condition:
            return self._condition.wait_for(lambda: self._done >= self._asked, timeout_seconds)

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(5.0)

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or self._asked > self._done)
                self._condition.wait_for(lambda: self._closed, self._quiet_seconds)
                if self._closed:
                    return
                answering = self._asked
            self._reload_until_healthy()
            with self._condition:
                self._done = answering
                self._condition.notify_all()

    def _reload_until_healthy(self) -> None:
        deadline, said = time.monotonic() + self._deadline_seconds, ""
        while True:
            try:
                names = self._dagster.reload()
            except (LakeError, KeyError) as error:
                if time.monotonic() >= deadline:
                    _log.error("code location not reloaded", error=str(error)[:500])
                    return
                if str(error) != said:  # once, not at every try
                    said = str(error)
                    _log.warning("code location not healthy yet", error=said[:500])
            else:
                _log.info("code locations reloaded", names=names)
                return
            with self._condition:
                if self._condition.wait_for(lambda: self._closed, _RETRY_SECONDS):
                    return

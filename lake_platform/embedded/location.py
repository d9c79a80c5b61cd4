"""Asks the Dagster UI whether the code location could be loaded."""

from __future__ import annotations

_QUERY = """{ workspaceOrError { ... on Workspace { locationEntries {
    name locationOrLoadError { __typename ... on PythonError { message } } } } } }"""


def load_error(dagster_url: str) -> str | None:
    """Why the code location is not loaded; None when it is, or when the UI does not answer.

    A broken definition does not stop a process: without this question `lake up` would report
    success in front of an empty UI.
    """
    import httpx

    try:
        reply = httpx.post(
            f"{dagster_url}/graphql", json={"query": _QUERY}, timeout=10.0, trust_env=False
        )
        entries = reply.json()["data"]["workspaceOrError"]["locationEntries"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    for entry in entries:
        outcome = entry["locationOrLoadError"]
        if outcome and outcome["__typename"] == "PythonError":
            return f"{entry['name']}: {outcome['message'].strip()}"
    return None

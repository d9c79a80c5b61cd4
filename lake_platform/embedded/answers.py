"""Whether what runs also answers: a process may be there and do nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

_HTTP_SECONDS = 3.0
_PING_SECONDS = 3.0
_BEAT_SECONDS = 120.0  # daemons beat every 30 s
_PING = b"\n\x01?"  # DagsterApi's PingRequest with the echo "?"
_HEARTBEATS = "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"


def silent(asked: Mapping[str, tuple[int, Callable[[], bool]]]) -> set[str]:
    """Names of programs that do not answer, of those given with pid and question; asked all at
    once, within some seconds."""
    if not asked:
        return set()

    def answers(pid: int, ask: Callable[[], bool]) -> bool:
        return not frozen(pid) and ask()

    with ThreadPoolExecutor(len(asked)) as pool:
        said = {name: pool.submit(answers, *question) for name, question in asked.items()}
        return {name for name, answer in said.items() if not answer.result()}


def frozen(pid: int) -> bool:
    """Whether the process or one of its children is stopped (SIGSTOP, a debugger)."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(p.status() == psutil.STATUS_STOPPED for p in family)
    except psutil.NoSuchProcess:
        return False


def http_answers(url: str) -> bool:
    """Any answer is one: what it says is for others to judge."""
    import httpx

    try:
        # trust_env: a proxy of the machine must not get requests for 127.0.0.1.
        httpx.get(url, timeout=_HTTP_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def code_server_answers(socket: Path) -> bool:
    """Asks through the proxy the process that has the code, without importing dagster."""
    if not socket.exists():
        return False
    import grpc  # type: ignore[import-untyped]  # ships no types

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            channel.unary_unary("/api.DagsterApi/Ping")(_PING, timeout=_PING_SECONDS)
        except grpc.RpcError as error:
            return error.code() not in {
                grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE,
            }  # fmt: skip
    return True


def daemons_beat(dagster_url: str) -> bool:
    """Whether each daemon was at work lately, or is not known to have been; what the webserver does
    not tell is not the daemon's fault."""
    import httpx

    try:
        reply = httpx.post(
            f"{dagster_url}/graphql", json={"query": _HEARTBEATS}, timeout=_HTTP_SECONDS,
            trust_env=False,
        )  # fmt: skip
        rows: Sequence[Mapping[str, object]] = reply.json()["data"]["instance"]["daemonHealth"][
            "allDaemonStatuses"
        ]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return True
    beats = [r["lastHeartbeatTime"] for r in rows if r["required"]]
    known = [beat for beat in beats if isinstance(beat, float | int)]
    return all(time.time() - beat < _BEAT_SECONDS for beat in known)

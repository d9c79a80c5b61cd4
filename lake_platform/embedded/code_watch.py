"""Restarts the code server when its inner process died.

`dagster code-server start` is a proxy in front of the process that holds the code. When only that
inner process dies, the proxy lives on and answers every call with "unavailable" until somebody
reloads: supervisord sees a healthy process. This program asks through the proxy and kills it, and
supervisord starts both anew. Run workers are not touched: they finish their runs by themselves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # ships no types

from lake_platform.embedded.home import StackHome
from lake_platform.embedded.supervisor import Supervisor

PART = "code-server"
_PERIOD_SECONDS = 2.0
# A reload swaps the inner process without a pause; three refusals in a row are no reload.
_REFUSALS = 3
_PING_SECONDS = 30.0


def inner_is_gone(socket: Path) -> bool:
    """True when the proxy answers, but says that nobody is behind it."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        # Raw bytes: an empty request is a valid PingRequest, and dagster need not be imported.
        ping = channel.unary_unary("/api.DagsterApi/Ping")
        try:
            ping(b"", timeout=_PING_SECONDS)
        except grpc.RpcError as error:
            # The proxy turns a refused inner connection into UNKNOWN with the text of the refusal;
            # a plain UNAVAILABLE is the proxy itself, which supervisord watches.
            unknown = error.code() == grpc.StatusCode.UNKNOWN
            return unknown and "StatusCode.UNAVAILABLE" in str(error.details())
    return False


def watch(home: StackHome) -> None:
    supervisor = Supervisor(home)
    refusals = 0
    while True:
        time.sleep(_PERIOD_SECONDS)
        refusals = refusals + 1 if inner_is_gone(home.code_server_socket) else 0
        state = supervisor.states().get(PART)
        if refusals >= _REFUSALS and state is not None and state.running:
            sys.stderr.write("the code server's inner process is gone: restarting it\n")
            with contextlib.suppress(ProcessLookupError):
                os.kill(state.pid, signal.SIGKILL)
            refusals = 0


if __name__ == "__main__":
    watch(StackHome(Path(sys.argv[1])))

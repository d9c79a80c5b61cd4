"""Ports on 127.0.0.1: find a free one, wait for one, say who holds a taken one."""

from __future__ import annotations

import socket

import psutil

from lake_platform.errors import SetupError

HOST = "127.0.0.1"


class PortTakenError(SetupError):
    """Somebody else listens where a part of the stack wants to."""

    def __init__(self, part: str, port: int, option: str, holder: str) -> None:
        super().__init__(
            f"port {port} for {part} is taken by {holder}; end it, or choose another port: "
            f"lake up {option} <port>"
        )
        self.part, self.port, self.option, self.holder = part, port, option, holder


def free_port() -> int:
    """A port nobody listens on right now (somebody may be faster: use it at once)."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_listening(port: int, *, host: str = HOST, timeout_seconds: float = 0.5) -> bool:
    with socket.socket() as probe:
        probe.settimeout(timeout_seconds)
        return probe.connect_ex((host, port)) == 0


def require_free(part: str, port: int, option: str) -> None:
    """Raises PortTakenError when the port cannot be bound."""
    with socket.socket() as probe:
        # As the servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PortTakenError(part, port, option, holder_of(port)) from None


def holder_of(port: int) -> str:
    """`name (pid n)` of the process that listens on the port, as far as we may see it."""
    try:
        listening = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows other processes' sockets to root only
        listening = []
    for connection in listening:
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,):
            return _process(connection.pid)
    return "another process"


def _process(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"

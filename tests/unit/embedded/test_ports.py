"""A taken port is one sentence that names port, holder and the option to change."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from lake_platform.embedded.ports import (
    HOST,
    PortTakenError,
    free_port,
    holder_of,
    is_listening,
    require_free,
)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_one_sentence(taken: int) -> None:
    with pytest.raises(PortTakenError) as caught:
        require_free("the API", taken, "--api-port")
    message = str(caught.value)
    assert f"port {taken} for the API is taken by " in message
    assert f"(pid {os.getpid()})" in message
    assert "lake up --api-port <port>" in message


def test_a_free_port_is_accepted() -> None:
    port = free_port()
    require_free("Kafka", port, "--kafka-port")
    assert not is_listening(port)


def test_a_listening_port_is_seen(taken: int) -> None:
    assert is_listening(taken)


def test_the_holder_of_a_free_port_is_nobody_we_know() -> None:
    assert holder_of(free_port()) == "another process"

"""The receivers that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lake_platform.alerting.message import Message, Receiver
from lake_platform.errors import DeliveryError, SetupError


@dataclass(frozen=True)
class Misset:
    """A receiver whose settings are wrong: it fails, and the others do not."""

    name: str
    why: str

    def send(self, message: Message) -> str:  # noqa: ARG002 - port
        raise DeliveryError(self.name, self.why)


def made(name: str, make: Callable[[], Receiver]) -> Receiver:
    try:
        return make()
    except SetupError as error:
        return Misset(name, str(error))

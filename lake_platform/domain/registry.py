"""Schemas that producers declare in a schema registry, and messages in its wire format: a zero
byte, the schema's id in four bytes, then the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, NoReturn, Protocol

from lake_platform.domain.quality import Reason
from lake_platform.errors import InvalidFieldError

SchemaKind = Literal["avro", "json", "protobuf"]
PREFIX_BYTES = 5


class Registered(NamedTuple):
    """Where a schema is in the registry: its version of a subject, the compatibility level that
    holds there, and whether it is compatible with the version before; None of a first one, or
    where the registry did not say."""

    subject: str
    version: int
    level: str = ""
    fits: bool | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """One registered schema, which never changes. `references`: name and text of schemas that it
    names, those first that others need. Of Protobuf: `compiled`, its FileDescriptorSet in base64,
    empty where it does not compile, and `messages`, the paths of those that were read, none for
    the first. `registered`: as it was when the schema was first seen."""

    id: int
    kind: SchemaKind
    text: str
    references: tuple[tuple[str, str], ...] = ()
    compiled: str = ""
    messages: tuple[tuple[int, ...], ...] = ()
    registered: tuple[Registered, ...] = ()

    def and_of(self, other: Declared | None) -> Declared:
        """With the messages that another has of the same schema."""
        both = {*self.messages, *(other.messages if other else ())}
        return replace(self, messages=tuple(sorted(both)))


class Unwrapped(NamedTuple):
    """What a message's value says. `value` is JSON; of one that does not decode, its bytes; None of
    a tombstone."""

    value: bytes | None
    schema: int | None = None
    reason: Reason | None = None


class Unwrap(Protocol):
    """Reads messages of one dataset, in one thread."""

    def value(self, data: bytes) -> Unwrapped:
        """Raises: RegistryUnavailableError."""
        ...

    def key(self, data: bytes | None) -> bytes | None:
        """What a key in the wire format says: JSON of a record, else the text of the value. Any
        other key as it is. Raises: RegistryUnavailableError."""
        ...

    @property
    def declared(self) -> Mapping[int, Declared]:
        """The schemas by which something was read so far."""
        ...


class Registry(Protocol):
    def latest(self, subject: str) -> Declared | None:
        """The newest version; None for a subject that is not there.

        Raises: RegistryUnavailableError.
        """
        ...

    def unwrap(self, value_format: str) -> Unwrap: ...


class NoRegistry:
    """Where none is set."""

    def latest(self, subject: str) -> NoReturn:
        raise _unset(subject.removesuffix("-value"))

    def unwrap(self, value_format: str) -> NoReturn:
        raise _unset(value_format)


def _unset(value: str) -> InvalidFieldError:
    return InvalidFieldError(
        "value_format", value, "needs a schema registry, and none is set",
        "set LAKE_REGISTRY_URL to the one its producers use",
    )  # fmt: skip


def unwrapping(registry: Registry, value_format: str) -> Unwrap | None:
    """None for plain JSON. Raises: InvalidFieldError where no registry is set."""
    return None if value_format == "json" else registry.unwrap(value_format)


def subject_of(topic: str) -> str:
    """Of the topic's values, by the usual naming strategy of producers."""
    return f"{topic}-value"


def prefixed(data: bytes | None) -> bool:
    return data is not None and data[:1] == b"\0" and len(data) >= PREFIX_BYTES


def schema_id(data: bytes) -> int:
    return int.from_bytes(data[1:PREFIX_BYTES], "big")

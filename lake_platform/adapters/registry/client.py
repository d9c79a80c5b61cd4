"""A schema registry with Confluent's API: Confluent's own, Karapace, Apicurio's `ccompat`,
Redpanda's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from confluent_kafka.schema_registry import (
    RegisteredSchema,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
)
from confluent_kafka.schema_registry.error import SchemaRegistryError

from lake_platform.adapters.registry.unwrapping import Unwrapper
from lake_platform.domain.registry import Declared, SchemaKind
from lake_platform.errors import RegistryUnavailableError, SetupError

_KINDS: dict[str, SchemaKind] = {"AVRO": "avro", "JSON": "json"}
_NOT_FOUND = 404
_TIMEOUT_SECONDS = 10.0
_Found = TypeVar("_Found")


class ConfluentRegistry:
    """`options` are those of confluent_kafka's client (`basic.auth.user.info`, `ssl.ca.location`
    and the like); nothing is asked before it is needed. Schemas are kept: they never change. Each
    question has a connection of its own, as there are so few."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._url, self._options = url, options
        self._known: dict[int, Declared] = {}

    def latest(self, subject: str) -> Declared | None:
        found = self._ask(lambda client: client.get_latest_version(subject))
        if found is None or found.schema_id is None:
            return None
        return self._schema(found.schema_id)

    def unwrap(self, value_format: str) -> Unwrapper:
        return Unwrapper(self._schema, value_format)

    def _schema(self, number: int) -> Declared | None:
        if number not in self._known:
            schema = self._ask(lambda client: client.get_schema(number))
            kind = _KINDS.get((schema.schema_type or "AVRO").upper()) if schema else None
            if schema is None or kind is None:
                return None
            references: dict[str, str] = {}
            self._collect(schema, references)
            text = schema.schema_str or ""
            self._known[number] = Declared(number, kind, text, tuple(references.items()))
        return self._known[number]

    def _collect(self, schema: Schema, found: dict[str, str]) -> None:
        """What `schema` names, those first that others need."""
        for reference in schema.references or ():
            if reference.name is None or reference.name in found:
                continue
            there = self._ask(partial(_version, reference))
            if there is not None and there.schema is not None:
                self._collect(there.schema, found)
                found[reference.name] = there.schema.schema_str or ""

    def _client(self) -> SchemaRegistryClient:
        conf = {"timeout": _TIMEOUT_SECONDS, **self._options, "url": self._url}
        try:
            return SchemaRegistryClient(conf)
        except (ValueError, TypeError, OSError) as error:
            raise SetupError(
                f"registry_options: {error}; correct LAKE_REGISTRY_URL or LAKE_REGISTRY_OPTIONS"
            ) from None

    def _ask(self, question: Callable[[SchemaRegistryClient], _Found]) -> _Found | None:
        """None for what is not there."""
        try:
            with self._client() as client:
                return question(client)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            why = f"answered {error.http_status_code}: {error.error_message}"
        except Exception as error:
            if isinstance(error, SetupError):
                raise
            why = f"did not answer: {type(error).__name__}: {error}"
        raise RegistryUnavailableError(
            f"the schema registry at {self._url} {why}; nothing was changed, check that it runs, "
            f"LAKE_REGISTRY_URL, and for a secured one LAKE_REGISTRY_OPTIONS"
        )


def _version(reference: SchemaReference, client: SchemaRegistryClient) -> RegisteredSchema:
    return client.get_version(reference.subject or "", reference.version or 0)

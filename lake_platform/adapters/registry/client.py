"""A schema registry with Confluent's API: Confluent's own, Karapace, Apicurio's `ccompat`,
Redpanda's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from confluent_kafka.schema_registry import (
    RegisteredSchema,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
)
from confluent_kafka.schema_registry.error import SchemaRegistryError

from lake_platform.adapters.registry.unwrapping import Unwrapper, readable
from lake_platform.adapters.secrets.resolve import resolved_options, resolved_url
from lake_platform.domain.registry import Declared, Registered, SchemaKind
from lake_platform.domain.secrets import hidden, secrets_of
from lake_platform.errors import RegistryUnavailableError, SetupError

_KINDS: dict[str, SchemaKind] = {"AVRO": "avro", "JSON": "json", "PROTOBUF": "protobuf"}
_NOT_FOUND = 404
_REFUSED = (401, 403)
_TIMEOUT_SECONDS = 10.0
_log = structlog.get_logger(__name__)
_MOST_SUBJECTS = 3  # of one schema, asked about
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
            found = Declared(
                number, kind, schema.schema_str or "", tuple(references.items()),
                registered=self._registered(number, schema),
            )  # fmt: skip
            self._known[number] = readable(found)
        return self._known[number]

    def _registered(self, number: int, schema: Schema) -> tuple[Registered, ...]:
        """Told, and not needed: a registry that does not say stops nothing."""
        found = self._maybe(lambda client: client.get_schema_versions(number)) or []
        places = [(p.subject, p.version) for p in found[:_MOST_SUBJECTS]]
        return tuple(self._place(s, v, schema) for s, v in places if s and v)

    def _place(self, subject: str, version: int, schema: Schema) -> Registered:
        level = self._maybe(lambda client: client.get_compatibility(subject))
        level = level or self._maybe(lambda client: client.get_compatibility()) or ""
        if version == 1 or level in ("", "NONE"):
            return Registered(subject, version, level)
        before = version - 1
        fits = self._maybe(lambda client: client.test_compatibility(subject, schema, before))
        return Registered(subject, version, level, fits)

    def _maybe(self, question: Callable[[SchemaRegistryClient], _Found]) -> _Found | None:
        try:
            return self._ask(question)
        except RegistryUnavailableError as error:
            _log.debug("the registry does not say", error=str(error))
            return None

    def _collect(self, schema: Schema, found: dict[str, str]) -> None:
        """What `schema` names, those first that others need."""
        for reference in schema.references or ():
            if reference.name is None or reference.name in found:
                continue
            there = self._ask(partial(_version, reference))
            if there is not None and there.schema is not None:
                self._collect(there.schema, found)
                found[reference.name] = there.schema.schema_str or ""

    def _ask(self, question: Callable[[SchemaRegistryClient], _Found]) -> _Found | None:
        """None for what is not there."""
        url = resolved_url(self._url, "LAKE_REGISTRY_URL")
        options = resolved_options(self._options, "LAKE_REGISTRY_OPTIONS")
        secrets = (*secrets_of(options), *filter(None, [urlsplit(url).password]))
        try:
            with _client(url, options, secrets) as client:
                return question(client)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            why = f"answered {error.http_status_code}: {error.error_message}"
            if error.http_status_code in _REFUSED:
                why += (
                    "; set basic.auth.user.info or bearer.auth.token in LAKE_REGISTRY_OPTIONS to "
                    "one that may read subjects and schemas"
                )
        except Exception as error:
            if isinstance(error, SetupError):
                raise
            why = f"did not answer: {type(error).__name__}: {error}"
        raise RegistryUnavailableError(
            f"the schema registry at {_without_user(url)} {hidden(why, secrets)}; nothing was "
            f"changed, check that it runs, LAKE_REGISTRY_URL, and for a secured one "
            f"LAKE_REGISTRY_OPTIONS"
        )


def _client(url: str, options: Mapping[str, str], secrets: Sequence[str]) -> SchemaRegistryClient:
    try:
        return SchemaRegistryClient({"timeout": _TIMEOUT_SECONDS, **options, "url": url})
    except (ValueError, TypeError, OSError) as error:
        raise SetupError(
            f"registry_options: {hidden(str(error), secrets)}; correct LAKE_REGISTRY_URL or "
            f"LAKE_REGISTRY_OPTIONS"
        ) from None


def _without_user(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else url


def _version(reference: SchemaReference, client: SchemaRegistryClient) -> RegisteredSchema:
    return client.get_version(reference.subject or "", reference.version or 0)

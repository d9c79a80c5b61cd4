"""An AdminClient that also tells what brokers said to it in the background: why they do not let it
in is in no reply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from lake_platform.domain import kafka_access
from lake_platform.domain.secrets import hidden, secrets_of
from lake_platform.errors import LakeError, SetupError

_OPTION = re.compile(r'property:? "([^"]+)"')
Options = Mapping[str, str | int | float | bool]


class Access:
    """Who asks Kafka, for errors. `options` are resolved: they go into no message."""

    def __init__(self, bootstrap: str, options: Mapping[str, str]) -> None:
        self._bootstrap, self._options = bootstrap, options
        self.heard: dict[str, str] = {}

    def hear(self, error: KafkaError) -> None:
        self.heard.setdefault(error.name(), error.str())

    def named(self, error: KafkaError, topic: str, group: str = "") -> LakeError:
        code, why = error.code(), error.str()
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return kafka_access.denied(self._bootstrap, "Read", "topic", topic, self._options)
        if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return kafka_access.denied(self._bootstrap, "Read", "group", group, self._options)
        if code == KafkaError._INVALID_ARG:
            option = _OPTION.search(why)
            # Only its name: librdkafka's text has the value too, which may be a secret.
            what = f"librdkafka does not take {option.group(1)!r} as given" if option else why
            what = hidden(what, secrets_of(self._options))
            return SetupError(f"kafka_options: {what}; correct LAKE_KAFKA_OPTIONS")
        if code in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self.hear(error)
        return kafka_access.unavailable(self._bootstrap, why, self.heard, self._options)


@contextmanager
def asking(access: Access, options: Options, topic: str) -> Iterator[AdminClient]:
    """Raises: KafkaUnavailableError, SetupError for what the client does not take."""
    client = None
    hearing: dict[str, Any] = {**options, "error_cb": access.hear}
    try:
        client = AdminClient(hearing)
        yield client
    except KafkaException as error:
        if client is not None:
            client.poll(0)  # what it heard is told only then
        # The cause's text has values of options.
        raise access.named(error.args[0], topic) from None

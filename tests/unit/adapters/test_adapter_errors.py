"""What adapters say when they are given what cannot work; neither broker nor bucket is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.adapters.kafka.client import ConfluentKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.errors import InvalidFieldError, SetupError, StorageUnavailableError


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"no.such.option": "canary"}, "no.such.option"),
        ({"security.protocol": "canary"}, "security.protocol"),
        ({"socket.timeout.ms": "canary"}, "socket.timeout.ms"),
        ({"socket.timeout.ms": "-5"}, "socket.timeout.ms"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "NOPE"}, "NOPE"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/no/such.pem"}, "ssl.ca.location"),
        ({"security.protocol": "SSL", "ssl.key.pem": "canary"}, "ssl.key.pem"),
        ({"security.protocol": "SSL", "ssl.certificate.pem": "canary"}, "ssl.certificate.pem"),
    ],
)
def test_kafka_option_that_cannot_be_is_named_without_its_value(
    options: dict[str, str], named: str
) -> None:
    kafka = ConfluentKafka("127.0.0.1:1", options | {"sasl.password": "canary"})
    with pytest.raises(SetupError, match="LAKE_KAFKA_OPTIONS") as caught:
        kafka.describe("t")
    assert named in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__  # a printed traceback would show librdkafka's text


def test_storage_error_is_one_line(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    with pytest.raises(StorageUnavailableError, match="File name too long") as caught:
        store.put("x" * 300, b"")
    assert "\n" not in str(caught.value)


def test_storage_url_is_not_shown_with_what_may_be_in_it() -> None:
    with pytest.raises(InvalidFieldError, match="ftp:") as caught:
        open_store("ftp://user:canary@host/x")
    assert "canary" not in str(caught.value)

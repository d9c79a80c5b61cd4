"""Why Kafka lets somebody not in, from what its client says in the background, and the rights that
are needed. Options that make a client load code are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lake_platform.domain.secrets import hidden, secrets_of
from lake_platform.errors import (
    InvalidFieldError,
    KafkaDeniedError,
    KafkaRefusedError,
    KafkaUnavailableError,
)

GROUPS = "lake-"
"""Prefix of the names of all consumer groups that we report offsets by."""
_LOADS_CODE = re.compile(
    r"(?i)sasl\.jaas\.config|plugin\.library\.paths|ssl\.engine\.location|ssl\.providers"
    r"|.*\.class|.*\.class\.name|.*\.classes|.*callback.*|.*_cb|interceptor.*"
)
_AFTER = re.compile(r" \(after \d+ms.*")
_SETTING = "LAKE_KAFKA_OPTIONS"
_UNAVAILABLE = (
    f"check that the broker runs, LAKE_KAFKA_BOOTSTRAP, and for a secured broker {_SETTING} "
    f"(security.protocol first)"
)
# What librdkafka says, and what to do about it; the first that fits counts.
_REFUSALS: tuple[tuple[str, str], ...] = (
    (
        "Unsupported SASL mechanism",
        "set sasl.mechanism in {setting} to one that the broker has",
    ),
    (
        "OAUTHBEARER token",
        "check sasl.oauthbearer.token.endpoint.url, .client.id and .client.secret in {setting}",
    ),
    (
        "SASL authentication error",
        "check sasl.username and sasl.password (OAUTHBEARER: the token's issuer, audience and "
        "time) in {setting}",
    ),
    (
        "certificate verify failed",
        "set ssl.ca.location in {setting} to the certificate of the authority that signed the "
        "broker's",
    ),
    (
        "connecting to a PLAINTEXT broker listener",
        "set security.protocol in {setting} to that of the listener, or another port in "
        "LAKE_KAFKA_BOOTSTRAP",
    ),
    (
        "alert",
        "set ssl.certificate.location and ssl.key.location in {setting} to a certificate that the "
        "broker trusts",
    ),
)


def check_options(options: Mapping[str, str]) -> None:
    """Raises: InvalidFieldError for an option by which a client would load code."""
    for name in options:
        if _LOADS_CODE.fullmatch(name):
            raise InvalidFieldError(
                "kafka_options", name, "not allowed: it makes a client load code",
                "use librdkafka's sasl.* and ssl.* options",
            )  # fmt: skip


def unavailable(
    bootstrap: str, why: str, heard: Mapping[str, str], options: Mapping[str, str]
) -> KafkaUnavailableError:
    """`why` a question failed; `heard`: by name of the error, what brokers said to our client
    meanwhile."""
    for said in heard.values():
        for part, remedy in _REFUSALS:
            if part in said:
                return KafkaRefusedError(
                    f"Kafka at {bootstrap} does not let us in: {_plain(said, options)}; nothing "
                    f"was changed, {remedy.format(setting=_SETTING)}"
                )
    told = [_plain(said, options) for name, said in heard.items() if name in _TELLING]
    reason = "; ".join([hidden(why, secrets_of(options)), *told])
    return KafkaUnavailableError(
        f"Kafka at {bootstrap} did not answer: {reason}; nothing was changed, {_UNAVAILABLE}"
    )


_TELLING = ("_TRANSPORT", "_RESOLVE", "_SSL", "_AUTHENTICATION")


def denied(
    bootstrap: str, operation: str, kind: str, name: str, options: Mapping[str, str]
) -> KafkaDeniedError:
    """`kind`: topic or group."""
    user = options.get("sasl.username") or options.get("sasl.oauthbearer.client.id")
    principal = f"User:{user or '<its name>'}"
    where = f"--{kind} '{name}'"
    if kind == "group":
        where, name = f"--group '{GROUPS}' --resource-pattern-type prefixed", f"{name} ({GROUPS}*)"
    return KafkaDeniedError(
        bootstrap, f"{operation} on the {kind} {name}",
        principal if user else "the principal that our certificate or login stands for",
        f"kafka-acls --bootstrap-server {bootstrap} --add --allow-principal '{principal}' "
        f"--operation {operation} {where}",
    )  # fmt: skip


def _plain(said: str, options: Mapping[str, str]) -> str:
    text = _AFTER.sub("", said)
    if "OAUTHBEARER token: {" in text:
        text = text.partition(": {")[0]  # the rest is the reply of the endpoint
    return hidden(text.partition(": ")[2] if "://" in text.partition(": ")[0] else text,
                  secrets_of(options))  # fmt: skip

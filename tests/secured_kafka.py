"""A real Kafka broker as companies run it: TLS on every listener for clients, SCRAM, OAUTHBEARER by
a token endpoint, client certificates, and an authorizer that allows nothing that nobody gave.

The plain listener is the test's own: who comes by it is the super user.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import RSAKey

from lake_platform.embedded.broker import Broker
from lake_platform.embedded.ports import HOST, free_port

CANARY = "canary-9c2e"
"""Part of every secret here: it may appear in nothing."""
USER, PASSWORD = "lake", f"{CANARY}-scram"
CLIENT, CLIENT_SECRET = "lake", f"{CANARY}-oidc"
_OAUTH = "org.apache.kafka.common.security.oauthbearer"
_SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_DEADLINE_SECONDS = 20.0
Acl = tuple[str, str, str, bool]
"""Resource type, name, operation, whether the name is a prefix."""


class Authority:
    """A certificate authority with its certificates as PEM files in `directory`."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self._directory, self._key = directory, _key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / "ca.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate of 127.0.0.1 for both ends, and of its key."""
        key = _key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ip_address(HOST))]
        )
        made = self._signed(subject, key, here)
        certificate, secret = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(_pem(key))
        return certificate, secret

    def _signed(
        self, subject: x509.Name, key: rsa.RSAPrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(self._name, subject, key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1))
        made = made.not_valid_after(now + timedelta(days=2))
        made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(self._key, hashes.SHA256())


class TokenEndpoint:
    """The client-credentials flow of OpenID Connect, and the keys its tokens are signed by."""

    def __init__(self) -> None:
        self._key = RSAKey.generate_key(2048, parameters={"kid": "one"})
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self.url = f"http://{HOST}:{self._server.server_port}"
        self.token_url, self.jwks_url = f"{self.url}/token", f"{self.url}/jwks"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(self) -> str:
        now = int(time.time())
        claims = {"sub": CLIENT, "iss": self.url, "aud": "kafka", "iat": now, "exp": now + 600}
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, {"keys": [endpoint._key.as_dict(private=False)]})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("authorization") != f"Basic {basic}":
                    return self._answer(401, {"error": "invalid_client"})
                return self._answer(
                    200,
                    {"access_token": endpoint.token(), "token_type": "Bearer", "expires_in": 600},
                )

            def _answer(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@dataclass(frozen=True)
class Secured:
    """A running broker and what a client may come with."""

    broker: Broker
    authority: Authority
    tokens: TokenEndpoint
    sasl: str
    """Bootstrap of the SASL_SSL listener."""
    mutual: str
    """Of the one that wants a client's certificate."""

    @property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})

    @property
    def scram(self) -> dict[str, str]:
        return {
            "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER, "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.authority.file),
        }  # fmt: skip

    @property
    def oidc(self) -> dict[str, str]:
        return {
            "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": CLIENT,
            "sasl.oauthbearer.client.secret": CLIENT_SECRET,
            "sasl.oauthbearer.token.endpoint.url": self.tokens.token_url,
            "ssl.ca.location": str(self.authority.file),
        }  # fmt: skip

    @property
    def certificate(self) -> dict[str, str]:
        certificate, key = self.authority.certificate(USER)
        return {
            "security.protocol": "SSL", "ssl.ca.location": str(self.authority.file),
            "ssl.certificate.location": str(certificate), "ssl.key.location": str(key),
        }  # fmt: skip

    def grant(self, acls: Sequence[Acl]) -> None:
        """Takes all rights of the user but these."""
        admin = self.admin
        any_name: Any = None  # the stub does not know that None stands for all
        everything = AclBindingFilter(
            ResourceType.ANY, any_name, ResourcePatternType.ANY, f"User:{USER}", any_name,
            AclOperation.ANY, AclPermissionType.ANY,
        )  # fmt: skip
        for future in admin.delete_acls([everything]).values():
            future.result(_DEADLINE_SECONDS)
        if acls:
            for future in admin.create_acls([_binding(*acl) for acl in acls]).values():
                future.result(_DEADLINE_SECONDS)


@contextmanager
def secured_kafka(directory: Path, jars: Path, java_home: Path) -> Iterator[Secured]:
    authority, tokens = Authority(directory / "tls"), TokenEndpoint()
    sasl, mutual = free_port(), free_port()
    broker = Broker(
        directory / "kafka", jars=jars, java_home=java_home,
        overrides=_ssl(authority) | _oauth(tokens) | {
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map":
                "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": _SCRAM_MODULE,
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
    )  # fmt: skip
    _listen(broker, {"SASL_SSL": sasl, "SSL": mutual})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(  # the broker's JVM takes no other option from us
            "JAVA_TOOL_OPTIONS",
            f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={tokens.jwks_url}",
        )
        broker.start()
    try:
        secured = Secured(broker, authority, tokens, f"{HOST}:{sasl}", f"{HOST}:{mutual}")
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        admin = secured.admin
        asked = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
        admin.alter_user_scram_credentials([asked])[USER].result(_DEADLINE_SECONDS)
        yield secured
    finally:
        broker.stop()
        tokens.close()


def _listen(broker: Broker, ports: dict[str, int]) -> None:
    overrides = broker.node.overrides
    assert isinstance(overrides, dict)
    known = broker.node.properties()
    more = "".join(f",{name}://{HOST}:{port}" for name, port in ports.items())
    for name in ("listeners", "advertised.listeners"):
        overrides[name] = known[name] + more


def _ssl(authority: Authority) -> dict[str, str]:
    certificate, key = authority.certificate("broker")
    both = certificate.with_suffix(".both.pem")
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return {
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(both),
        "ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority.file),
    }  # fmt: skip


def _oauth(tokens: TokenEndpoint) -> dict[str, str]:
    name = "listener.name.sasl_ssl.oauthbearer.sasl"
    return {
        f"{name}.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
        f"{name}.server.callback.handler.class": f"{_OAUTH}.OAuthBearerValidatorCallbackHandler",
        "sasl.oauthbearer.jwks.endpoint.url": tokens.jwks_url,
        "sasl.oauthbearer.expected.issuer": tokens.url,
        "sasl.oauthbearer.expected.audience": "kafka",
    }


def _binding(kind: str, name: str, operation: str, prefix: bool) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if prefix else ResourcePatternType.LITERAL
    return AclBinding(
        ResourceType[kind], name, pattern, f"User:{USER}", "*", AclOperation[operation],
        AclPermissionType.ALLOW,
    )  # fmt: skip


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

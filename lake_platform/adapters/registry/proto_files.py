"""From what a registry has of a Protobuf schema (text of .proto, or a descriptor in base64, as some
clients register it) to descriptors, by protoc."""

from __future__ import annotations

import base64
import binascii
import importlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from lake_platform.errors import SetupError

_TIMEOUT_SECONDS = 60
_PROTOC = "grpc_tools.protoc"
_MOST_SAID = 500
# Known to every client, so nobody registers them.
_BUILT_IN = {
    "google/protobuf/": "google.protobuf.",
    "google/type/": "google.type.",
    "confluent/": "confluent_kafka.schema_registry.confluent.",
}


def compiled(text: str, references: Sequence[tuple[str, str]]) -> str:
    """A FileDescriptorSet in base64, the schema's own file last.

    Raises: ValueError for what is none, or imports what is not there.
    """
    descriptor = _descriptor(text)
    found = _by_protoc(text, references) if descriptor is None else _closed(text, references)
    return base64.b64encode(found).decode()


def _by_protoc(text: str, references: Sequence[tuple[str, str]]) -> bytes:
    names = {name for name, _ in references}
    own = next(n for n in ("schema.proto", "this_schema.proto", "own.proto") if n not in names)
    with TemporaryDirectory(prefix="lake-proto-") as folder:
        root = Path(folder) / "in"
        for name, content in (*references, (own, text)):
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts or "\\" in name:
                raise ValueError(f"a reference of the name {name!r}")
            file = root / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        out = Path(folder) / "set"
        paths = [root, *_includes()]
        done = subprocess.run(  # noqa: S603
            # -P: names of references are others' names, and no modules.
            [sys.executable, "-P", "-m", _PROTOC, *(f"-I{p}" for p in paths),
             "--include_imports", "--include_source_info", f"-o{out}", own],
            capture_output=True, timeout=_TIMEOUT_SECONDS, check=False, cwd=folder,
        )  # fmt: skip
        said = _plain(done.stderr.decode(errors="replace"), root)
        if done.returncode == 1 and f"{_PROTOC}:" not in said and ".proto:" in said:
            raise ValueError(said[:_MOST_SAID])
        if done.returncode or not out.exists():
            # No verdict on a schema: those are final.
            raise SetupError(
                f"protoc ended with {done.returncode}: {said[-_MOST_SAID:]}; check that "
                f"grpcio-tools is installed as requirements.lock has it"
            )
        return out.read_bytes()


def _plain(said: str, root: Path) -> str:
    """Errors without where this machine had the file, and without protoc's own log."""
    lines = said.replace(f"{root}/", "").splitlines()
    return "; ".join(x.strip() for x in lines if not x.startswith(("W0", "WARNING: All log")))


def _includes() -> list[str]:
    """Where google/type is; protoc brings google/protobuf itself."""
    spec = find_spec("google.type")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return [str(Path(place).parents[1]) for place in places]


def _descriptor(text: str) -> bytes | None:
    """A serialized FileDescriptorProto; None for text of .proto."""
    if not text.strip():
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return None


def _closed(text: str, references: Sequence[tuple[str, str]]) -> bytes:
    """With all that the descriptor imports, those first that others need."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
    from google.protobuf.message import DecodeError

    known = dict(references)
    found = FileDescriptorSet()

    def add(name: str | None, serialized: bytes) -> None:
        try:
            file = FileDescriptorProto.FromString(serialized)
        except DecodeError as error:
            raise ValueError("neither .proto nor a descriptor") from error
        if name is not None:
            file.name = name
        for needed in file.dependency:
            if all(one.name != needed for one in found.file):
                add(needed, _serialized(needed, known))
        found.file.append(file)

    add(None, _descriptor(text) or b"")
    return bytes(found.SerializeToString())


def _serialized(name: str, known: Mapping[str, str]) -> bytes:
    if name in known:
        serialized = _descriptor(known[name])
        if serialized is None:
            raise ValueError(f"{name} is text, and what imports it a descriptor")
        return serialized
    for start, package in _BUILT_IN.items():
        if name.startswith(start):
            module = package + name.removeprefix(start).removesuffix(".proto").replace("/", ".")
            try:
                known_file = importlib.import_module(f"{module}_pb2").DESCRIPTOR
            except ImportError:
                break
            return bytes(known_file.serialized_pb)
    raise ValueError(f"{name} is imported and not there")

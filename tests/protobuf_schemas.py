"""Messages of a .proto as producers write them."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from lake_platform.adapters.registry.proto_files import compiled


class Proto:
    def __init__(self, text: str, references: tuple[tuple[str, str], ...] = ()) -> None:
        self.text, self.references = text, references
        self.pool = DescriptorPool()
        files = FileDescriptorSet.FromString(base64.b64decode(compiled(text, references))).file
        for file in files:
            self.pool.Add(file)
        self.file = self.pool.FindFileByName(files[-1].name)

    def message(self, name: str) -> Any:
        """The class of a message, by its full name."""
        return GetMessageClass(self.pool.FindMessageTypeByName(name))


def framed(number: int, message: Any, path: bytes = b"\0") -> bytes:
    """`path`: of the message in its file, as the wire format has it; the first in short."""
    return b"\0" + number.to_bytes(4, "big") + path + bytes(message.SerializeToString())

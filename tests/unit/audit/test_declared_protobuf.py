"""The audit reads Protobuf by code of its own, and says what phase 1 says, of any bytes."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest

from lake_platform.adapters.registry.protobuf import ProtobufDecoder
from lake_platform.adapters.registry.unwrapping import readable
from lake_platform.audit import protobuf
from lake_platform.audit.declared import _text
from lake_platform.domain.registry import Declared
from tests.protobuf_schemas import Proto
from tests.unit.dump.test_registry_protobuf import order, proto

__all__ = ["proto"]


@pytest.fixture(scope="module")
def declared(proto: Proto) -> Declared:
    return readable(Declared(1, "protobuf", proto.text, proto.references))


def _parsed(text: Any) -> Any:
    return json.loads(text, parse_float=Decimal)


def _both(declared: Declared, data: bytes) -> tuple[Any, Any]:
    try:
        ours: Any = _parsed(ProtobufDecoder(declared).json(data))
    except ValueError:
        ours = None
    try:
        audited: Any = _parsed(_text(protobuf.reader(asdict(declared))(data)))
    except Exception:
        audited = None
    return ours, audited


def test_what_decodes_is_the_same(declared: Declared, proto: Proto) -> None:
    whole = order(proto).SerializeToString()
    for path, name in ((b"\x00", "shop.Order"), (b"\x02\x02", "shop.Other")):
        message = proto.message(name)()
        for data in (path + message.SerializeToString(), b"\x00" + whole):
            ours, audited = _both(declared, data)
            assert ours is not None
            assert ours == audited


def test_mutated_bytes_have_one_verdict(declared: Declared, proto: Proto) -> None:
    dice = random.Random(7)  # noqa: S311 - the same each time
    whole, sound = b"\x00" + order(proto).SerializeToString(), 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 2)):
            at = dice.randrange(len(data))
            if dice.random() < 0.3:
                del data[at : at + dice.randint(1, 3)]
            else:
                data[at] = dice.randrange(256)
        ours, audited = _both(declared, bytes(data))
        assert ours == audited, data
        sound += ours is not None
    assert 10 < sound < 390

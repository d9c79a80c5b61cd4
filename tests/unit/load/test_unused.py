"""A load whose steps do not look at all columns; which these are, the engine says."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.adapters.memory import engine as memory
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct
from lake_platform.domain.transform import Transform
from lake_platform.errors import SchemaBlockedError
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_STEP = Transform(sql="SELECT id, o.a FROM input")
_PLACES = frozenset([("n",), ("o", "b")])


class Seeing(MemoryEngine):
    """Its steps give the records as they are, and say that they looked at some of it only."""

    def unused(self, dataset: Dataset, source: Struct) -> frozenset[tuple[str, ...]]:  # noqa: ARG002
        return _PLACES


@pytest.fixture
def lab(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(memory, "_check_supported", lambda _: None)
    lab = make_lab()
    lab.engine = Seeing(lab.store)
    return lab


def _begin(lab: Lab, **more: Any) -> None:
    lab.register(transforms=(_STEP,), **more)
    lab.send({"id": 0, "n": 1, "o": {"a": 1, "b": 1}})
    lab.cycle()


def test_what_is_not_looked_at_is_left_out_and_counted(lab: Lab) -> None:
    _begin(lab)
    lab.send({"id": 1, "n": "x", "o": {"a": 2, "b": []}})
    lab.send({"id": 2, "n": 3, "o": {"a": 3, "b": {"c": 1}, "new": 1}})
    (done,) = lab.cycle()
    assert dict(done.passed_over) == {"n": 1, "o.b": 2}
    assert [str(c) for c in done.changes] == ["new column o.new long"]
    assert [(r["id"], r["n"], r["o"]) for r in lab.rows()[1:]] == [
        (1, None, {"a": 2, "b": None, "new": None}), (2, 3, {"a": 3, "b": None, "new": 1}),
    ]  # fmt: skip


def test_what_is_looked_at_stops_the_table_alone(lab: Lab) -> None:
    _begin(lab)
    lab.send({"id": 1, "n": "x", "o": {"a": "y", "b": "z"}})
    with pytest.raises(SchemaBlockedError, match=r"column o\.a: long became string"):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t")
    assert [c["path"] for c in incident.changes] == ["o.a"]


def test_a_flood_of_what_is_not_looked_at_stops_nothing(lab: Lab) -> None:
    _begin(lab, on_conflict="rescue", max_rescued_ratio=0.01)
    lab.send_all({"id": n, "n": "x", "o": {"a": 1}} for n in range(200))
    (done,) = lab.cycle()
    assert dict(done.rescued) == {"n": 200}
    lab.send_all({"id": n, "n": 1, "o": {"a": "y"}} for n in range(200))
    with pytest.raises(SchemaBlockedError, match=r"o\.a"):
        lab.cycle()

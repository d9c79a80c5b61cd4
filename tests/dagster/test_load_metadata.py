"""What the materialisation of a window says of its batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from assets.metadata import LoadTally
from assets.phases import tally_of
from lake_platform.domain.absent import AbsentFor
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_HOUR = 3_600_000


def _said(lab: Lab, value: dict[str, Any]) -> dict[str, Any]:
    lab.now_ms += _HOUR
    lab.send_all({"id": n, **value} for n in range(3))
    tally = LoadTally(lab.dataset())
    for result in lab.cycle():
        tally.add(result)
    (window,) = tally.windows
    return dict(tally.event(window).metadata)


def test_values_that_are_left_out_and_columns_that_go_are_said(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.register(
        columns={"big": {"drop": True}}, absent_for=AbsentFor(batches=2, hours=1, records=2)
    )
    first = _said(lab, {"a": 1, "big": "x"})
    (row,) = first["batch_left_out"].records
    assert row.data == {"path": "big", "values": 3}
    assert "columns_dropped" not in first
    second, third = (_said(lab, {}) for _ in range(2))
    assert not {"batch_left_out", "batch_rescued", "columns_dropped"} & second.keys()
    assert third["columns_dropped"].text == "a"


def test_a_load_says_how_the_table_stands(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.register()
    tally = tally_of(lab.dataset(), cast(Any, SimpleNamespace(
        ports=lab.ports(), catalogue=SimpleNamespace(mapping=lambda _: ()),
    )))  # fmt: skip
    rows = 0
    for more in (3, 4):
        lab.now_ms += _HOUR
        lab.send_all({"id": rows + n} for n in range(more))
        rows += more
        for result in lab.cycle():
            tally.add(result)
        metadata = tally.event(max(tally.windows)).metadata
        assert metadata["table_status"].value == "LIVE"
        counted = {n for n in metadata if n.startswith(("dagster/row_count", "table_writes"))}
        [name] = counted
        assert metadata[name].value == rows
        assert (name == "dagster/row_count") == (lab.dataset().mode == "append")

"""The verdict of the scan on every cell."""

from __future__ import annotations

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.schema import Field, Struct
from lake_platform.load.report import ScanReport
from lake_platform.load.scan import Scanner
from tests.matrix.cells import PLACES, Cell, Verdict, cells

_RAW = RawObject("k", 0, "2026-11-01-00:00", 1, 1, 1, 1, 1, "", 0, 0, 1)


@pytest.mark.parametrize("place", PLACES)
def test_the_scan_says_what_is_written_down(place: str) -> None:
    found = {cell.column: verdict(cell) for cell in cells(place)}
    assert found == {cell.column: cell.verdict for cell in cells(place)}


def verdict(cell: Cell) -> Verdict:
    """Asked of the cell alone."""
    report = _scanned(cell)
    assert {c.path[: len(cell.column)] for c in report.changes.values()} <= {cell.column}
    if report.breaking:
        return "conflict"
    return "automatic" if report.changes else "fits"


def _scanned(cell: Cell) -> ScanReport:
    line = (
        '{"partition":0,"offset":1,"timestamp":5,"key":null,'
        f'"value":{{"{cell.column}":{cell.after}}}}}\n'
    )
    source = Struct((Field(cell.column, cell.kind),))
    scanner = Scanner(Dataset(topic="t", table="t"), source)
    rows = sum(len(r.fast) + len(r.slow) for r in scanner.scan(_RAW, line.encode()))
    assert rows == (not scanner.report.changes), "a row exactly where nothing changes"
    return scanner.report

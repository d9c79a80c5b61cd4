"""The dataset of a trial: flags, JSON, datasets as code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError, SetupError
from lake_platform.trial.definition import dataset_of

_CODE = """
from lake_platform.domain.dataset import Dataset
print("loaded")
orders = Dataset(topic="shop.orders", table="orders", mode="upsert", primary_key=("id",))
others = [Dataset(topic="shop.items", table="items", format="parquet")]
"""


@pytest.mark.parametrize(
    ("name", "table"),
    [("orders.ndjson", "orders"), ("my orders-2.json.gz", "my_orders_2"), ("-.ndjson", "records")],
)
def test_table_is_called_as_the_file(name: str, table: str) -> None:
    assert dataset_of({}, None, Path(name)) == Dataset(topic=table, table=table)


def test_flags_win_over_the_definition(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    # As GET /datasets/orders gives it.
    given = {"topic": "t", "table": "orders", "mode": "append", "version": 3, "status": "LIVE",
             "registered_at": 1, "evolution": "next_batch"}  # fmt: skip
    path.write_text(json.dumps(given))
    made = dataset_of({"mode": "upsert", "primary_key": ["id"]}, path, Path("x"))
    assert made == Dataset(
        topic="t", table="orders", mode="upsert", primary_key=("id",), evolution="next_batch"
    )


def test_one_of_several_in_code_is_picked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "d.py"
    path.write_text(_CODE)
    assert dataset_of({"table": "items"}, path, Path("x")).topic == "shop.items"
    assert dataset_of({"table": "orders", "buckets": 8}, path, Path("x")).buckets == 8
    assert capsys.readouterr().out == ""
    for wrong in ({}, {"table": "none"}):
        with pytest.raises(InvalidFieldError, match="orders, items"):
            dataset_of(wrong, path, Path("x"))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, text, kind, said in (
        ("a.json", "{", InvalidFieldError, "not JSON"),
        ("b.json", "[]", InvalidFieldError, "not a JSON object"),
        ("c.py", "1/0", SetupError, "ZeroDivisionError"),
        ("d.py", "x = 1", InvalidFieldError, "defines no dataset"),
        ("e.json", '{"topik":"t"}', InvalidFieldError, "topik"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(kind, match=said):
            dataset_of({}, path, Path("x"))
    with pytest.raises(InvalidFieldError, match="no such file"):
        dataset_of({}, tmp_path / "none.json", Path("x"))

"""The client half of test_connect: both phases with every Spark call going over Spark Connect.

A process of its own, because pyspark cannot hold a classic and a remote session at once.
Arguments: directory for state, Spark Connect URL.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.spark.session import open_session
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.casts import Lost
from lake_platform.domain.transform import Transform
from tests.spark_support import table_rows
from tests.support import Lab


def main(home: Path, remote: str) -> None:
    store = open_store((home / "storage").as_uri())
    session = open_session({}, "", remote)
    engine = spark_engines(lambda: session, store)
    lab = Lab(home, store=store)
    lab.read_rows = table_rows(session, store)
    lab.register("events", format="parquet", transforms=())
    lab.register("orders", mode="upsert", primary_key=("id",))
    for number in range(20):
        lab.send({"id": number, "tags": ["a"]}, table="events")
        lab.send({"id": number % 5, "n": number}, table="orders", key=str(number % 5))
    lab.send(b"{broken", table="events", reason="not one valid JSON document")
    lab.send(None, table="orders", key="3")
    for table, form in (("events", "parquet"), ("orders", "hudi")):
        lab.engine = engine("parquet" if form == "parquet" else "hudi")
        lab.cycle(table)
        lab.account(table)
    lab.send({"id": 1, "n": 99, "late": True}, table="orders", key="1")
    lab.cycle("orders")
    lab.account("orders")
    assert {r["id"] for r in lab.rows("orders")} == {0, 1, 2, 4}
    step = Transform(sql="SELECT id, CAST(n AS INT) AS n FROM input")
    lab.register("cast", format="parquet", transforms=(step,))
    lab.send_all([{"id": 1, "n": "5"}, {"id": 2, "n": "n/a"}], table="cast")
    lab.engine = engine("parquet")
    [result] = lab.cycle("cast")
    first = {"partition": 0, "offset": 1, "value": "n/a"}
    assert result.lost == {"n": Lost(2, 1, first)}, result.lost
    lab.close()
    sys.stdout.write("both phases over Spark Connect\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

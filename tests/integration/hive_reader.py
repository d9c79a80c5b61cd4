"""A Spark with a Hive metastore (Derby, embedded) that holds entries as Glue does; a program.

Glue's client for Spark makes of a Glue table the same Hive table as is made here, field by field.
Reads a JSON document from stdin: `config` of the session, `tables` and `partitions` in the words of
Glue's API, `sql`. Prints one JSON document: the rows of each SQL.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    asked = json.load(sys.stdin)
    from pyspark.sql import SparkSession

    home = Path(asked["home"])
    url = f"jdbc:derby:;databaseName={home / 'metastore'};create=true"
    hive = {
        "spark.sql.catalogImplementation": "hive",
        "spark.hadoop.javax.jdo.option.ConnectionURL": url,
        "spark.hadoop.datanucleus.schema.autoCreateAll": "true",
        "spark.hadoop.hive.metastore.schema.verification": "false",
        "spark.sql.warehouse.dir": (home / "warehouse").as_uri(),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={home}",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in {**asked["config"], **hive}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sql("CREATE DATABASE lake")
    shelf = Shelf(spark)
    for table in asked["tables"]:
        shelf.put(table, asked["partitions"].get(table["Name"], []))
    found = [[row.asDict(recursive=True) for row in spark.sql(s).collect()] for s in asked["sql"]]
    spark.stop()
    sys.stdout.write("\n" + json.dumps(found, default=str) + "\n")


class Shelf:
    def __init__(self, spark: Any) -> None:
        self._jvm = spark._jvm
        self._api = self._jvm.org.apache.hadoop.hive.metastore.api
        conf = self._jvm.org.apache.hadoop.hive.conf.HiveConf()
        for entry in spark._jsc.hadoopConfiguration().iterator():
            if entry.getKey().startswith(("javax.jdo", "datanucleus", "hive.metastore")):
                conf.set(entry.getKey(), entry.getValue())
        self._client = self._jvm.org.apache.hadoop.hive.metastore.HiveMetaStoreClient(conf)

    def put(self, plain: Any, partitions: Any) -> None:
        table = self._api.Table()
        table.setDbName("lake")
        table.setTableName(plain["Name"])
        table.setTableType(plain["TableType"])
        table.setParameters(self._map(plain["Parameters"]))
        table.setPartitionKeys(self._columns(plain["PartitionKeys"]))
        table.setSd(self._descriptor(plain["StorageDescriptor"]))
        self._client.createTable(table)
        for one in partitions:
            part = self._api.Partition()
            part.setDbName("lake")
            part.setTableName(plain["Name"])
            part.setValues(self._list(one["Values"]))
            part.setSd(self._descriptor(one["StorageDescriptor"]))
            part.setParameters(self._map({}))
            self._client.add_partition(part)

    def _descriptor(self, plain: Any) -> Any:
        made = self._api.StorageDescriptor()
        made.setCols(self._columns(plain["Columns"]))
        made.setLocation(plain["Location"])
        made.setInputFormat(plain["InputFormat"])
        made.setOutputFormat(plain["OutputFormat"])
        serde = self._api.SerDeInfo()
        serde.setSerializationLib(plain["SerdeInfo"]["SerializationLibrary"])
        serde.setParameters(self._map(plain["SerdeInfo"]["Parameters"]))
        made.setSerdeInfo(serde)
        made.setParameters(self._map({}))
        return made

    def _columns(self, plain: Any) -> Any:
        made = self._jvm.java.util.ArrayList()
        for c in plain:
            made.add(self._api.FieldSchema(c["Name"], c["Type"], c.get("Comment", "")))
        return made

    def _map(self, plain: Any) -> Any:
        made = self._jvm.java.util.HashMap()
        for name, value in plain.items():
            made.put(name, value)
        return made

    def _list(self, plain: Any) -> Any:
        made = self._jvm.java.util.ArrayList()
        for value in plain:
            made.add(value)
        return made


if __name__ == "__main__":
    main()

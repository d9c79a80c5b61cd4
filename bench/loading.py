"""Rows 3, 4 and 8: phase 2, and bare Spark on the same raw objects."""

from __future__ import annotations

from dataclasses import replace

from bench import bare
from bench.audit import audit_quarantine, check
from bench.meter import Meter, Reading
from bench.order import Order, dataset, ports, spark_session
from lake_platform import compose
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.offsets import RawCommit
from lake_platform.load.load import load
from lake_platform.raw import log as raw_log


def measure_load(order: Order) -> Reading:
    opened, limits = ports(order), compose.build_limits(order.settings)
    if order.warm_up:
        # Each raw commit a batch: the first one and those that follow take other paths.
        list(load("warm", opened, replace(limits, batch_bytes=1)))
    if order.base_seq:
        _load_base(order, opened, limits)
    with Meter(sampled=order.sampled) as meter:
        results = list(load("t", opened, limits))
    counted = sum(r.applied.balance.records for r in results)
    timed = sum(c.records for c in _commits(opened, "t", order.base_seq))
    check("records of the balance", counted, timed)
    audit_quarantine(opened.store, "t")
    url = opened.store.url(table_prefix("t"))
    bare.audit_path(spark_session(order), url, order.kind, order.expected)
    return meter.reading


def measure_bare(order: Order) -> Reading:
    opened = ports(order)
    if order.warm_up:
        for commit in _commits(opened, "warm", 0):
            _write(order, opened, "warm", [commit])
    base = [c for c in _commits(opened, "t", 0) if c.seq <= order.base_seq]
    if base:
        _write(order, opened, "t", base)
    timed = _commits(opened, "t", order.base_seq)
    with Meter() as meter:
        _write(order, opened, "t", timed)
    url = _bare_url(opened, "t")
    bare.audit_path(spark_session(order), url, order.kind, order.expected)
    return meter.reading


def _load_base(order: Order, opened: Ports, limits: Limits) -> None:
    """The part of the table that is there before the timed batch."""
    size = sum(c.raw_bytes for c in _commits(opened, "t", 0) if c.seq <= order.base_seq)
    batches = load("t", opened, replace(limits, batch_bytes=size))
    first = next(batches)
    batches.close()  # type: ignore[attr-defined]
    check("last commit of the base", first.applied.batch.last_seq, order.base_seq)


def _commits(opened: Ports, table: str, after: int) -> list[RawCommit]:
    return raw_log.commits_after(opened.store, table, after)


def _write(order: Order, opened: Ports, table: str, commits: list[RawCommit]) -> None:
    spark = spark_session(order)
    schema = opened.metastore.active_schema(table)
    if schema is None:
        raise RuntimeError(f"{table}: no schema was inferred at registration")
    urls = [opened.store.url(o.key) for c in commits for o in c.objects]
    frame = bare.read_raw(spark, urls, schema.source, order.kind)
    size = sum(c.raw_bytes for c in commits)
    lock = opened.store.url(f"bare-locks/{table}")
    options = bare.hudi_options(dataset(order.kind, order.topic, table), size, lock)
    bare.write(frame, order.kind, _bare_url(opened, table), options)


def _bare_url(opened: Ports, table: str) -> str:
    return opened.store.url(f"bare/{table}")

"""Rules are held against every batch before it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Rule, Status
from lake_platform.domain.offsets import Slice
from lake_platform.domain.rules import Policy
from lake_platform.errors import NotRunnableError, QuarantineRatioError, RuleBrokenError
from lake_platform.load.results import LoadResult
from lake_platform.load.rules import Aside, row_rules
from tests.support import Lab, infer_now


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def ruled(lab: Lab, *rules: Rule, **fields: Any) -> None:
    lab.register(rules=rules, **{"max_quarantine_ratio": 1.0, **fields})


def change(lab: Lab, *rules: dict[str, Any]) -> None:
    lab.metastore.update("t", {"rules": list(rules)}, lab.metastore.get("t").version, "test")


def counts(result: LoadResult) -> dict[str, int]:
    return {name: broken.rows for name, broken in result.broken.items()}


PRICE = {"column": "price", "min": 0}


def price(policy: Policy = "quarantine", **more: Any) -> Rule:
    return Rule(column="price", min=0, policy=policy, **more)


def test_a_rule_that_warns_counts(lab: Lab) -> None:
    ruled(lab, price("warn"), Rule(column="id", not_null=True))
    lab.send_all([{"id": 1, "price": 5}, {"id": 2, "price": -5}, {"id": 3, "price": -6}])
    [result] = lab.cycle()
    assert counts(result) == {"price.min": 2}
    assert result.broken["price.min"].samples == (
        {"partition": 0, "offset": 1, "value": "-5"},
        {"partition": 0, "offset": 2, "value": "-6"},
    )
    lab.account()


def test_a_rule_that_puts_records_aside(lab: Lab) -> None:
    ruled(lab, price(), Rule(column="name", regex="^[a-z]+$", policy="quarantine"))
    lab.send({"id": 1, "price": 5, "name": "ok"})
    lab.send({"id": 2, "price": -5, "name": "ok"}, reason="breaks the rule price.min")
    lab.send({"id": 3, "price": 1.5, "name": "X"}, reason="breaks the rule name.regex")
    lab.send({"id": 4, "price": -1, "name": "X"}, reason="breaks the rule price.min")
    lab.send({"id": 5, "name": None})
    [result] = lab.cycle()
    assert counts(result) == {"price.min": 2, "name.regex": 2}
    assert result.quarantined == {"breaks the rule price.min": 2, "breaks the rule name.regex": 1}
    balance = result.applied.balance
    assert (balance.written, balance.quarantined, balance.difference) == (2, 3, 0)
    lab.account()


def test_the_record_in_quarantine_is_as_it_came(lab: Lab) -> None:
    ruled(lab, price())
    lab.send(b'{"id": 1, "price": -1.10, "more": [ ]}', key="k", reason="breaks the rule price.min")
    lab.cycle()
    [line] = lab.quarantined()
    assert (line["reason"], line["record"]["key"]) == ("breaks the rule price.min", "k")
    [info] = lab.store.list("quarantine/t/")
    lab.account()
    assert info.size


def test_a_rule_that_blocks_writes_nothing(lab: Lab) -> None:
    ruled(lab, price("block"))
    infer = [{"id": 1, "price": 1}]
    lab.send_all(infer)
    lab.cycle()
    lab.send_all([{"id": 2, "price": -2}, {"id": 3, "price": 3, "new": 1}])
    lab.dump()
    with pytest.raises(RuleBrokenError, match=r"rule price\.min is broken by 1 rows"):
        lab.load()
    assert lab.metastore.get("t").status == Status.BLOCKED
    [incident] = lab.metastore.incidents("t", "OPEN")
    assert (incident.kind, incident.reason) == ("rule", "price.min is broken by 1 rows")
    [sample] = incident.samples
    assert (sample["rule"], sample["offset"], sample["value"]) == (
        "price.min", 1, {"id": 2, "price": -2},
    )  # fmt: skip
    assert len(lab.rows()) == 1
    assert lab.metastore.active_schema("t") is not None
    assert [v.version for v in lab.metastore.schema_versions("t")] == [1]
    with pytest.raises(NotRunnableError):
        lab.load()
    # Tried again as it is, it blocks again; once the rule is mended, it goes through.
    lab.metastore.resume("t", "eve")
    with pytest.raises(RuleBrokenError):
        lab.load()
    change(lab, PRICE)
    assert lab.metastore.resume("t", "eve").status == Status.LIVE
    lab.load()
    lab.account()


def test_many_such_records_stop_the_table(lab: Lab) -> None:
    ruled(lab, price(), max_quarantine_ratio=0.5)
    lab.send_all({"id": n, "price": -1} for n in range(11))
    lab.dump()
    with pytest.raises(QuarantineRatioError, match=r"breaks the rule price\.min"):
        lab.load()
    assert not lab.quarantined()


def test_of_a_key_the_newest_record_that_holds_counts(lab: Lab) -> None:
    ruled(lab, price(), mode="upsert", primary_key=("id",))
    lab.send({"id": 1, "price": 1})
    lab.send({"id": 1, "price": -1}, reason="breaks the rule price.min")
    lab.send({"id": 2, "price": -1}, reason="breaks the rule price.min")
    lab.cycle()
    assert [(r["id"], r["price"]) for r in lab.plain_rows()] == [(1, 1)]
    lab.account()


def test_new_columns_are_judged_with_the_batch_that_brings_them(lab: Lab) -> None:
    for evolution in ("same_batch", "next_batch"):
        table = evolution.removesuffix("_batch")
        lab.register(
            table, rules=(Rule(column="new", min=0, policy="quarantine"),),
            evolution=evolution, max_quarantine_ratio=1.0,
        )  # fmt: skip
        lab.send({"id": 1}, table=table)
        infer_now(lab, table)
        lab.cycle(table)
        lab.send({"id": 2, "new": 1}, table=table)
        lab.send({"id": 3, "new": -1}, table=table, reason="breaks the rule new.min")
        results = lab.cycle(table)
        assert {counts(r)["new.min"] for r in results} == {1}
        lab.account(table)


def test_unique_within_a_batch(lab: Lab) -> None:
    ruled(lab, Rule(column="code", unique=True, policy="quarantine"), partitions=2)
    reason = "breaks the rule code.unique"
    lab.send({"id": 1, "code": "a"}, partition=1)
    lab.send({"id": 2, "code": "a"}, partition=1, reason=reason)
    lab.send({"id": 3, "code": "b"}, partition=1, reason=reason)
    lab.send({"id": 4, "code": "b"}, partition=0)
    lab.send({"id": 5, "code": None}, partition=0)
    lab.send({"id": 6}, partition=0)
    [result] = lab.cycle()
    assert counts(result) == {"code.unique": 2}
    assert [s["value"] for s in result.broken["code.unique"].samples] == ["a", "b"]
    lab.account()
    lab.send({"id": 7, "code": "a"})  # of another batch
    lab.cycle()
    lab.account()


def test_unique_over_the_objects_of_a_batch_and_beside_other_rules(lab: Lab) -> None:
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 2))
    ruled(lab, Rule(column="code", unique=True, policy="quarantine"), price())
    lab.send({"code": 1, "price": -1}, reason="breaks the rule price.min")
    lab.send({"code": 1, "price": 1})  # the first that is a row
    lab.send({"code": 1, "price": 1}, reason="breaks the rule code.unique")
    lab.send({"code": 1, "price": -1}, reason="breaks the rule price.min")
    lab.dump()
    [result] = lab.load()
    assert counts(result) == {"code.unique": 1, "price.min": 2}
    lab.account()


def test_rows_of_one_key_do_not_count_against_each_other(lab: Lab) -> None:
    ruled(
        lab, Rule(column="mail", unique=True, policy="quarantine"),
        mode="upsert", primary_key=("id",), partitions=2,
    )  # fmt: skip
    lab.send({"id": 1, "mail": "a"})
    lab.send({"id": 1, "mail": "a", "n": 1})
    lab.send({"id": 2, "mail": "a"}, partition=1, reason="breaks the rule mail.unique")
    [result] = lab.cycle()
    assert counts(result) == {"mail.unique": 1}
    lab.account()


@pytest.mark.parametrize("policy", ["warn", "block"])
def test_unique_that_puts_nothing_aside(lab: Lab, policy: Policy) -> None:
    ruled(lab, Rule(column="code", unique=True, policy=policy))
    lab.send_all([{"code": 1}, {"code": 1}])
    lab.dump()
    if policy == "block":
        with pytest.raises(RuleBrokenError):
            lab.load()
        return
    [result] = lab.load()
    assert counts(result) == {"code.unique": 1}
    lab.account()


def test_a_replay_goes_by_the_rules_of_today(lab: Lab) -> None:
    ruled(lab, price())
    lab.send({"id": 1, "price": 1})
    lab.send({"id": 2, "price": -1}, reason="breaks the rule price.min")
    lab.send({"id": 3, "price": 200})
    [result] = lab.cycle()
    lab.account()
    change(lab, {"column": "price", "max": 100, "policy": "quarantine"})
    lab.load(replay=list(result.windows))
    reasons = ("", "", "breaks the rule price.max")
    lab.sent["t"] = [replace(s, reason=r) for s, r in zip(lab.sent["t"], reasons, strict=True)]
    lab.account()


def test_a_replay_takes_no_row_out_of_an_upsert_table(lab: Lab) -> None:
    """What it replaced is gone, so it would leave a key without its row."""
    ruled(lab, price(), mode="upsert", primary_key=("id",))
    lab.send({"id": 1, "price": 1})
    lab.send({"id": 2, "price": -1}, reason="breaks the rule price.min")
    lab.send({"id": 3, "price": 200})
    [result] = lab.cycle()
    change(lab, {"column": "price", "max": 100, "min": 0, "policy": "quarantine"})
    [again] = lab.load(replay=list(result.windows))
    assert counts(again) == {"price.min": 1, "price.max": 1}
    lab.account()
    change(lab)
    lab.load(replay=list(result.windows))
    lab.sent["t"] = [replace(s, reason="") for s in lab.sent["t"]]
    lab.account()


def test_without_rules_nobody_looks(lab: Lab) -> None:
    lab.register()
    assert row_rules(lab.dataset(), Aside()) is None
    assert row_rules(replace(lab.dataset(), rules=(price(),)), Aside()) is not None


def test_old_definitions_read_as_before() -> None:
    from lake_platform.metastore.model import dataset_to_dict, parse_dataset

    old = {"column": "id", "not_null": True, "min": None, "max": None, "isin": []}
    dataset = parse_dataset({"topic": "t", "table": "t", "rules": [old, old]})
    assert [(c.name, c.policy) for c in dataset.conditions] == [("id.not_null", "warn")] * 2
    assert parse_dataset(json.loads(json.dumps(dataset_to_dict(dataset)))) == dataset

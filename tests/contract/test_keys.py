"""Keys of upsert tables on real Spark and Hudi: each row under its own key, whatever text is in it,
read back by Spark and by hudi-rs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lake_platform.adapters.hudi import engine as hudi
from lake_platform.errors import OldTableError
from tests.hudi_support import HudiLab, hudi_lab, schema
from tests.sampling import sampled
from tests.spark_support import spark

__all__ = ["hudi_lab", "spark"]
# A key that Hudi took apart for ever would hang the suite.
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


AWKWARD = [
    "https://shop.example:8443/p?ids=1,2", "2026-11-01T10:15:00,123", "AA:BB:CC:DD:EE:FF,eth0",
    "urn:isbn:1,vol2", "a:b,c:d,e:f", "__empty__", "__null__", "null", " ", "%2C", "a/b", "+",
    "ключ 🙂", "\u0000", "\n", "n" * 1000, "ü" * 500, "1", "01", "1.0",
]  # fmt: skip


@pytest.mark.parametrize(
    "partition_by",
    sampled([(), ("k",), ("p",), ("p", "k")], (), ("p",)),
    ids=["bucket", "in-key", "moving", "moving in two"],
)
def test_any_text_is_a_key(hudi_lab: HudiLab, partition_by: tuple[str, ...]) -> None:
    fit = [k for k in AWKWARD if len(k) < 100 and "\x00" not in k]  # for the name of a folder
    keys = fit if "k" in partition_by else AWKWARD
    hudi_lab.register(
        source=schema(k="string", p="string", v="long"), mode="upsert", primary_key=("k",),
        partition_by=partition_by, max_quarantine_ratio=1.0,
    )  # fmt: skip
    for n, key in enumerate(keys):
        hudi_lab.send({"k": key, "p": f"p{n % 2}", "v": n})
    (first,) = hudi_lab.cycle()
    assert first.applied.balance.written == len(keys)
    for n, key in enumerate(keys):
        hudi_lab.send({"k": key, "p": f"p{n % 3}", "v": 100 + n})
    (second,) = hudi_lab.cycle()
    assert second.applied.balance.written == len(keys)
    assert hudi_lab.both("k", "v") == sorted(((k, 100 + n) for n, k in enumerate(keys)), key=repr)
    for key in keys[::2]:
        hudi_lab.send(None, key=json.dumps({"k": key}))
    (third,) = hudi_lab.cycle()
    assert third.applied.balance.deleted == len(keys[::2])
    assert hudi_lab.both("k", "v") == sorted(
        ((k, 100 + n) for n, k in enumerate(keys) if n % 2), key=repr
    )


def test_composite_keys_are_not_mixed_up(hudi_lab: HudiLab) -> None:
    hudi_lab.register(
        source=schema(site="string", code="string", n="long"), mode="upsert",
        primary_key=("site", "code"),
    )  # fmt: skip
    keys = [
        ("1,code:2", "3"), ("1", "2,code:3"), ("2", ""), ("2", "__empty__"), ("2", "__null__"),
        ("", "2"), ("eu", "x,q:r:s"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"),
    ]  # fmt: skip
    for n, (site, code) in enumerate(keys):
        hudi_lab.send({"site": site, "code": code, "n": n})
    (done,) = hudi_lab.cycle()
    assert (done.applied.balance.written, done.applied.balance.deduplicated) == (len(keys), 0)
    expected = sorted(((s, c, n) for n, (s, c) in enumerate(keys)), key=repr)
    assert hudi_lab.both("site", "code", "n") == expected
    hudi_lab.send(None, key=json.dumps({"site": "2", "code": ""}))
    hudi_lab.send(None, key=json.dumps({"site": "2", "code": "none such"}))
    (done,) = hudi_lab.cycle()
    assert done.applied.balance.deleted == 1
    assert hudi_lab.both("site", "code", "n") == [r for r in expected if r[:2] != ("2", "")]


TYPED: Mapping[str, tuple[Sequence[Any], Sequence[str]]] = {
    # type: values, and the same ones as Kafka keys
    "long": ([1, -(2**63), 2**63 - 1], ["1", "-9223372036854775808", "9223372036854775807"]),
    "date": (["2026-11-01", "0001-01-01"], ["2026-11-01", '"0001-01-01"']),
    "timestamp": (
        ["2026-11-01T10:15:00.123456Z", "0001-01-01T00:00:00Z"],
        ["2026-11-01T12:15:00.123456+02:00", '"0001-01-01T00:00:00Z"'],
    ),
    "decimal(20,10)": ([1.5, 0.0000000001, 100], ["1.5", "0.0000000001", "1e2"]),
    "boolean": ([True, False], ["true", "false"]),
    "double": ([0.1, 1e300, -0.0], ["0.1", "1e300", "0"]),
    "binary": (["AAE=", "LA=="], ["AAE=", "LA=="]),
}


@pytest.mark.parametrize("kind", sampled(TYPED, "date", "long"))
def test_keys_of_every_type_are_found_again(hudi_lab: HudiLab, kind: str) -> None:
    values, keys = TYPED[kind]
    hudi_lab.register(source=schema(k=kind, v="long"), mode="upsert", primary_key=("k",))
    for n, value in enumerate(values):
        hudi_lab.send({"k": value, "v": n})
        hudi_lab.send({"k": value, "v": n + 10})
    (done,) = hudi_lab.cycle()
    assert (done.applied.balance.written, done.applied.balance.deduplicated) == (len(values),) * 2
    assert [v for (v,) in hudi_lab.both("v")] == [n + 10 for n in range(len(values))]
    for n, value in enumerate(values):
        hudi_lab.send({"k": value, "v": n + 20})
    hudi_lab.cycle()
    assert [v for (v,) in hudi_lab.both("v")] == [n + 20 for n in range(len(values))]
    for key in keys:
        hudi_lab.send(None, key=key)
    (done,) = hudi_lab.cycle()
    assert done.applied.balance.deleted == len(values)
    assert hudi_lab.both("v") == []


@pytest.mark.parametrize("key", [pytest.param(("k",), marks=pytest.mark.deep), ("k", "s")])
def test_tables_of_older_releases_keep_their_keys(
    hudi_lab: HudiLab, monkeypatch: pytest.MonkeyPatch, key: tuple[str, ...]
) -> None:
    hudi_lab.register(
        source=schema(k="string", s="string", v="long"), mode="upsert", primary_key=key
    )
    monkeypatch.setattr(hudi, "record_key", lambda *_: key)  # as they wrote it
    rows = [("a", "x"), ("b:c", "y"), ("d,e", "z")]
    for k, s in rows:
        hudi_lab.send({"k": k, "s": s, "v": 1})
    hudi_lab.cycle()
    monkeypatch.undo()
    for k, s in rows[1:]:
        hudi_lab.send({"k": k, "s": s, "v": 2})
    hudi_lab.send(None, key=json.dumps(dict(zip("ks", rows[0], strict=True))))
    (done,) = hudi_lab.cycle()
    assert (done.applied.balance.written, done.applied.balance.deleted) == (2, 1)
    assert hudi_lab.both("k", "s", "v") == [(k, s, 2) for k, s in rows[1:]]

    # What such a table cannot tell apart stops it, and the way out that it names works.
    hudi_lab.send({"k": "AA:BB:CC,eth0", "s": "s", "v": 3})
    hudi_lab.dump()
    with pytest.raises(OldTableError, match=r"AA:BB:CC,eth0.*lake/t/ and checkpoints/t/phase2/"):
        hudi_lab.load()
    for folder in ("lake/t/", "checkpoints/t/phase2/"):
        hudi_lab.store.delete([i.key for i in hudi_lab.store.list(folder)])
    hudi_lab.load()
    expected = [("AA:BB:CC,eth0", "s", 3), *((k, s, 2) for k, s in rows[1:])]
    assert hudi_lab.both("k", "s", "v") == expected

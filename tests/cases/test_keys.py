"""Keys, deletes, partitions and ordering of Hudi tables: c02-c04, c18-c22, c26, c29-c31, r04."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.runner import Open, shared, text, tombstone
from tests.sampling import sampled

_LIMIT_SECONDS = 400  # it hangs or it does not: a busy machine must not decide


def _records_file(path: Path, records: object) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))  # type: ignore[attr-defined]
    return path


@pytest.mark.timeout(600)
def test_c02_keys_with_colons_and_commas_end(tmp_path: Path, jars_dir: Path) -> None:
    """In a process of its own: what hangs here hangs a core for ever."""
    case = shared("c02")
    first = _records_file(tmp_path / "1.ndjson", case.batches[0])
    second = _records_file(tmp_path / "2.ndjson", case.batches[1])
    definition = tmp_path / "d.json"
    definition.write_text(json.dumps(case.dataset))
    done = subprocess.run(
        [
            sys.executable, "-m", "lake_platform.cli", "try", first, "--batch", second, "--records",
            "--definition", definition, "--json", "--at-most-seconds", str(_LIMIT_SECONDS),
        ],
        env={**os.environ, "LAKE_JARS_DIR": str(jars_dir)},
        capture_output=True, text=True, timeout=_LIMIT_SECONDS + 60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    rows = {row["url"]: row["hits"] for row in told["rows"]}
    assert rows == {
        "https://shop.example/p": 1,
        "https://shop.example:8443/p?ids=1,2": 4,
    }
    assert not list(Path(told["definition"]["table"]).glob("*"))


@pytest.mark.parametrize(
    "key", ["2026-11-01T10:15:00,123", "AA:BB:CC:DD:EE:FF,eth0", "urn:isbn:1,vol2"]
)
def test_c02_siblings(tried: Open, key: str) -> None:
    one = tried(mode="upsert", primary_key=["k"])
    one.load(text(json.dumps({"k": key, "n": 1})))
    one.load(text(json.dumps({"k": key, "n": 2})))
    assert one.rows() == [{"k": key, "n": 2}]


def test_c02_composite(tried: Open) -> None:
    one = tried(mode="upsert", primary_key=["site", "note"])
    row = {"site": "eu", "note": "x,q:r:s", "n": 1}
    one.load(text(json.dumps(row)))
    one.load(text(json.dumps({**row, "n": 2})))
    assert one.rows() == [{**row, "n": 2}]


def test_c03_empty_key_is_quarantined(tried: Open) -> None:
    case = shared("c03")
    one = tried(**case.dataset)
    first = one.load(*case.batches[0])
    assert (first.balance.written, first.balance.quarantined) == (1, 1)
    assert one.rows() == [{"sku": "A-1", "n": 2}]
    assert "primary key" in one.quarantine()[0]["reason"]
    second = one.load(*case.batches[1])
    assert (second.balance.written, second.balance.quarantined) == (1, 1)
    assert one.rows() == [{"sku": "A-1", "n": 2}, {"sku": "B-2", "n": 5}]
    assert "key of the tombstone" in one.quarantine()[1]["reason"]


def test_c04_different_composite_keys_are_different_rows(tried: Open) -> None:
    case = shared("c04")
    one = tried(**case.dataset)
    step = one.load(*case.batches[0])
    assert step.balance.deduplicated == 0
    held = {n for row in one.rows() if (n := row["n"])}
    apart = {json.loads(r["value_text"])["n"] for r in one.quarantine()}
    assert held | apart == {10, 20, 30, 40}
    for row in one.rows():
        sent = next(
            json.loads(r["value_text"])
            for r in case.batches[0]
            if f"{row['n']}}}" in r["value_text"]
        )
        assert row == sent


@pytest.mark.parametrize("ordering", ["upd", None])
def test_c18_ordering_field_is_fixed_or_honoured(tried: Open, ordering: str | None) -> None:
    case = shared("c18")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    asked = one.act("change", fields={"ordering_field": ordering})
    one.load(*case.batches[1])
    assert asked.outcome in {"refused", "done"}
    assert [row["v"] for row in one.rows()] == ["old" if asked.outcome == "refused" else "new"]
    if asked.outcome == "refused":
        assert "ordering_field" in str(asked.error)


def test_c20_late_older_version_of_a_moved_row_loses(tried: Open) -> None:
    case = shared("c20")
    one = tried(**case.dataset)
    for batch in case.batches:
        one.load(*batch)
        assert len(one.rows()) == 1
    right = [{"id": 1, "day": "d2", "ver": 5, "v": "b"}]
    assert one.rows() == right
    one.compact()
    one.replay()
    assert one.rows() == right
    assert one.spark_rows("id", "day", "ver", "v") == right


def test_c21_tombstone_finds_its_row_without_the_partition_column(tried: Open) -> None:
    case = shared("c21")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    deletes = one.load(*case.batches[1])
    assert deletes.balance.deleted == 1
    assert one.rows() == [{"id": 2, "country": "SE", "v": 1}]
    assert "country=__HIVE_DEFAULT_PARTITION__" not in one.folders()
    one.load(*case.batches[2])
    right = [{"id": 1, "country": "DK", "v": 2}, {"id": 2, "country": "SE", "v": 1}]
    assert one.rows() == right
    one.compact()
    assert one.rows() == one.spark_rows("id", "country", "v") == right
    one.replay()
    assert one.rows() == one.spark_rows("id", "country", "v") == right


def test_c22_timestamp_partition_has_one_name(tried: Open) -> None:
    case = shared("c22")
    one = tried(**case.dataset)
    step = one.batch(case.batches[0])
    if step is None:
        assert "hour" in one.said
        return
    right = [
        {"id": 1, "hour": "2026-11-01T10:00:00Z"},
        {"id": 2, "hour": "2026-11-01T11:00:00Z"},
        {"id": 3, "hour": None},
    ]
    if step.error is not None:  # refused when the step's columns are first known
        assert step.outcome in {"waiting", "refused"}
        assert "hour" in str(step.error)
        return
    folders = one.folders()
    assert len(folders) == 3
    for _ in range(2):
        assert one.rows() == right
        hours = one.spark_frame().selectExpr("id", "cast(hour AS string) AS h").orderBy("id")
        assert [row["h"] for row in hours.collect()] == [
            "2026-11-01 10:00:00", "2026-11-01 11:00:00", None,
        ]  # fmt: skip
        assert one.folders() == folders
        one.replay()


def test_c26_wrapped_tombstone_key_finds_its_row(tried: Open) -> None:
    case = shared("c26")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    one.load(*case.batches[1])
    assert one.rows() == [{"id": 2, "v": "b"}]


def test_c29_tombstone_whose_key_is_the_text_itself(tried: Open) -> None:
    case = shared("c29")
    one = tried(**case.dataset)
    if one.batch(case.batches[0]) is None:
        assert "tombstone" in one.said
        return
    assert [row["id"] for row in one.rows()] == ["k2", '{"id":1}']
    step = one.load(*case.batches[1])
    left = {row["id"] for row in one.rows()}
    apart = {r["key"] for r in one.quarantine()}
    # What counts as deleted is gone; what is not gone waits in quarantine, and was announced.
    assert step.balance.deleted == 2 - len(left)
    assert left == apart
    assert not left or "tombstone" in one.said


def test_c30_registration_says_that_the_beginning_is_gone(tried: Open) -> None:
    case = shared("c30")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    bench = one.trial.bench
    bench.topic.expire(case.dataset["topic"], 0, 3)
    one.load(*case.batches[1])
    bench.topic.produce(case.dataset["topic"], None, b'{"id":4,"tenant":"z","v":5}')
    second = one.trial.dataset.with_changes({"table": "c30_acc_2", "primary_key": ("tenant", "id")})
    done = bench.use_cases.register_dataset(second, "test")
    assert any("offset" in warning and "gone" in warning for warning in done.warnings)


@pytest.mark.parametrize("ordering", ["text", "number"])
@pytest.mark.parametrize("extra", sampled(["", "tombstone", "delete_when"], "tombstone"))
def test_c31_moved_row_is_read_alike(tried: Open, ordering: str, extra: str) -> None:
    case = shared("c31")
    changes = {"delete_when": "v = 99"} if extra == "delete_when" else {}
    one = tried(**case.with_(**changes))
    first, second = ([dict(r) for r in batch] for batch in case.batches)
    if ordering == "number":
        for record in (*first, *second):
            record["value_text"] = record["value_text"].replace('"2026-01-0', "").replace('"}', "}")
    one.load(*first)
    if extra == "tombstone":
        second.append(dict(tombstone('{"id":5}')))
    if extra == "delete_when":
        at = "3" if ordering == "number" else '"2026-01-03"'
        second.append(dict(text(f'{{"id":5,"c":"x","v":99,"u":{at}}}', '{"id":5}')))
    one.load(*second)
    left = range(5 if extra else 6)
    right = [(n, "y", 2) if n == 1 else (n, "x", 1) for n in left]
    for _ in range(2):
        assert [(r["id"], r["c"], r["v"]) for r in one.rows("id", "c", "v")] == right
        assert [(r["id"], r["c"], r["v"]) for r in one.spark_rows("id", "c", "v")] == right
        one.compact()


def test_r04_text_ordering_is_announced(tried: Open) -> None:
    case = shared("r04")
    one = tried(**case.dataset)
    one.batch(case.batches[0])
    assert "ordering_field" in one.said
    assert "text" in one.said


@pytest.mark.parametrize(
    ("step", "ids"),
    [("SELECT id, CAST(ver AS INT) AS ver, v FROM input", 1),
     ("SELECT id, to_timestamp(ver) AS ver, v FROM input", 2)],
)  # fmt: skip
def test_r04_cast_ordering_compares_as_meant(tried: Open, step: str, ids: int) -> None:
    case = shared("r04")
    one = tried(**case.with_(transforms=[{"sql": step}]))
    for batch in case.batches:
        one.load(*(r for r in batch if f'"id":{ids},' in r["value_text"]))
    assert one.rows("id", "v") == [{"id": ids, "v": "new"}]

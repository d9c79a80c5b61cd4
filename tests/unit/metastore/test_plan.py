"""Datasets as code against the metastore."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform import compose
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError, SetupError
from lake_platform.metastore.code_files import datasets_in_file
from lake_platform.metastore.plan import Plan, apply_plan, make_plan
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.metastore.service import UseCases

IMPORT = "from lake_platform.domain.dataset import Dataset\n"


@pytest.fixture
def store() -> Iterator[Repository]:
    repository = open_repository("sqlite://", lambda: 1)
    yield repository
    repository.close()


@pytest.fixture
def use_cases(store: Repository) -> UseCases:
    kafka = MemoryKafka()
    for topic in ("orders", "users"):
        kafka.create_topic(topic)
        kafka.produce(topic, None, b'{"id":1}')
    return compose.build_use_cases(store, kafka)


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.py").write_text(IMPORT + text)
    return directory


def actions(plan: Plan) -> dict[str, str]:
    return {step.table: step.action for step in plan.steps}


def test_plan_then_apply_then_nothing(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(
        tmp_path,
        a="orders = Dataset(topic='orders', table='orders', tags={'tier': 'gold'})",
        b="both = [Dataset(topic='users', table='u1'), Dataset(topic='users', table='u2')]",
    )
    plan = make_plan(tmp_path, store)
    assert actions(plan) == {"orders": "register", "u1": "register", "u2": "register"}
    assert {d.field: d.after for d in plan.steps[0].differences} == {
        "topic": "orders",
        "table": "orders",
        "tags": {"tier": "gold"},
    }
    assert store.list_all() == []
    assert [o.error for o in apply_plan(plan, use_cases, "ci")] == ["", "", ""]
    again = make_plan(tmp_path, store)
    assert again.changes == []
    assert list(apply_plan(again, use_cases, "ci")) == []


def test_changed_field_is_shown_and_applied(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(tmp_path, a="orders = Dataset(topic='orders', table='orders')")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    store.update("orders", {"owner": "by hand"}, 1, "ann")
    write(tmp_path, a="orders = Dataset(topic='orders', table='orders', max_lag_seconds=600)")
    plan = make_plan(tmp_path, store)
    assert {(d.field, d.before, d.after) for d in plan.changes[0].differences} == {
        ("max_lag_seconds", 900, 600),
        ("owner", "by hand", ""),
    }
    list(apply_plan(plan, use_cases, "ci"))
    assert store.get("orders").dataset.max_lag_seconds == 600
    assert store.audit_log("orders")[0].actor == "ci"


def test_what_changed_after_the_plan_is_not_overwritten(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(tmp_path, a="orders = Dataset(topic='orders', table='orders')")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    write(tmp_path, a="orders = Dataset(topic='orders', table='orders', owner='code')")
    plan = make_plan(tmp_path, store)
    store.update("orders", {"owner": "by hand"}, 1, "ann")
    [outcome] = apply_plan(plan, use_cases, "ci")
    assert "version 2" in outcome.error
    assert store.get("orders").dataset.owner == "by hand"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = Dataset(topic='orders'", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("x = Dataset(topic='orders', table='GOOD')", "defined twice"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("x = Dataset(topic='orders', table='t', colour='red')", "colour"),
        ("x = Dataset(topic='orders', table='t', mode='upsert')", "primary_key"),
        ("x = Dataset(topic='orders', table='t', tags={'a': 1})", "tags.a"),
        ("x = [Dataset(topic='orders', table='good')]", "defined twice"),
    ],
)
def test_bad_file_is_one_error_and_the_others_go_on(
    tmp_path: Path, store: Repository, use_cases: UseCases, text: str, said: str
) -> None:
    write(tmp_path, a="x = Dataset(topic='orders', table='good')", b=text)
    plan = make_plan(tmp_path, store)
    [error] = plan.errors
    assert said in error.error
    assert "b.py" in error.error
    outcomes = {o.table: o.error for o in apply_plan(plan, use_cases, "ci") if not o.error}
    assert outcomes == {"good": ""}
    assert [r.dataset.table for r in store.list_all()] == ["good"]


def test_fixed_field_and_retired_table_are_errors(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(tmp_path, a="x = Dataset(topic='orders', table='t')")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    write(tmp_path, a="x = Dataset(topic='users', table='t')")
    assert "cannot change on an existing table" in make_plan(tmp_path, store).errors[0].error
    write(tmp_path, a="x = Dataset(topic='orders', table='T')")
    assert "case does not count" in make_plan(tmp_path, store).errors[0].error
    write(tmp_path, a="x = Dataset(topic='orders', table='t')")
    store.retire("t", "ann")
    assert "is retired" in make_plan(tmp_path, store).errors[0].error


def test_an_edit_of_the_same_length_within_a_second_is_seen(
    tmp_path: Path, store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for table in ("a", "b"):
        write(tmp_path, a=f"x = Dataset(topic='orders', table='{table}')")
        os.utime(tmp_path / "a.py", (1_700_000_000, 1_700_000_000))
        assert [step.table for step in make_plan(tmp_path, store).steps] == [table]


def test_table_only_in_the_metastore_is_left_alone(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(tmp_path, a="x = Dataset(topic='orders', table='t')")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    (tmp_path / "a.py").unlink()
    plan = make_plan(tmp_path, store)
    assert (plan.steps, plan.only_registered) == ((), ("t",))


def test_shipped_example_is_a_valid_definition_once_copied(
    tmp_path: Path, store: Repository
) -> None:
    shipped = Path(__file__).parents[3] / "definitions"
    assert make_plan(shipped, store).steps == ()
    example = (shipped / "example.py.txt").read_text()
    (tmp_path / "example.py").write_text(example)
    plan = make_plan(tmp_path, store)
    assert plan.errors == []
    assert plan.changes
    assert json.dumps([d.after for d in plan.steps[0].differences])


def test_missing_directory_is_named(tmp_path: Path, store: Repository) -> None:
    with pytest.raises(SetupError, match="nope"):
        make_plan(tmp_path / "nope", store)


def test_what_could_not_be_applied_is_an_error_of_the_plan(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(
        tmp_path,
        a="x = Dataset(topic='orders', table='a', schedule='61 * * * *')",
        b="from lake_platform.domain.dataset import Transform\n"
        "x = Dataset(topic='orders', table='b', transforms=(Transform(sql='DROP TABLE x'),))",
    )
    plan = make_plan(tmp_path, store, use_cases.check)
    assert [(s.table, s.action) for s in plan.steps] == [("a", "error"), ("b", "error")]
    assert "schedule" in plan.steps[0].error
    assert "transforms.sql" in plan.steps[1].error


@pytest.mark.parametrize("after", ["'at'", "None"])
def test_the_ordering_field_of_a_table_is_fixed(
    tmp_path: Path, store: Repository, use_cases: UseCases, after: str
) -> None:
    """Hudi refuses every write with another one than the table has."""
    upsert = "x = Dataset(topic='orders', table='t', mode='upsert', primary_key=('id',), "
    write(tmp_path, a=f"{upsert}ordering_field='id')")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    write(tmp_path, a=f"{upsert}ordering_field={after})")
    error = make_plan(tmp_path, store).errors[0].error
    assert "ordering_field" in error and "cannot change on an existing table" in error


def test_files_in_folders_count_and_may_have_one_name(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    for folder, table in (("eu", "a"), ("us/east", "b"), (".hidden", "c"), ("__pycache__", "d")):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder, orders=f"x = Dataset(topic='orders', table='{table}')")
    plan = make_plan(tmp_path, store)
    assert [(s.table, s.source) for s in plan.steps] == [
        ("a", "eu/orders.py"), ("b", "us/east/orders.py"),
    ]  # fmt: skip
    assert all(not outcome.error for outcome in apply_plan(plan, use_cases, "ci"))


def test_errors_name_their_line(tmp_path: Path, store: Repository) -> None:
    write(
        tmp_path,
        a="\nx = Dataset(topic='orders', table='good')\n\ny = Dataset(topic='orders', table='b b')",
        b="x = Dataset(\n    topic='orders',\n    table='typed', owner=5,\n)",
        c="\n\nx = (",
        d="def f():\n    raise ValueError('no')\nf()",
    )
    errors = [step.error for step in make_plan(tmp_path, store).errors]
    assert [error.split(": ")[0] for error in errors] == ["a.py:5", "b.py:4", "c.py:4", "d.py:3"]
    assert ["nothing of this file" in error for error in errors] == [False, False, True, True]


@pytest.mark.parametrize(
    "bad",
    [
        "Dataset(topic='orders', table='bad', mode='upsert')",
        "Dataset(topic='orders', table='bad', colour='red')",
        "Dataset(topic='orders', table='bad', max_lag_seconds=0)",
        "dataclasses.replace(good[0], table='bad', schedule='daily')",
    ],
)
@pytest.mark.parametrize(
    "form", ["x = {}", "x = [good[0], {}]", "x = [f() for f in (lambda: {},)]"]
)
def test_a_dataset_that_cannot_be_hides_no_other(
    tmp_path: Path, store: Repository, use_cases: UseCases, form: str, bad: str
) -> None:
    write(tmp_path, a="import dataclasses\ngood = [Dataset(topic='orders', table='bad')]")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    write(
        tmp_path,
        a="import dataclasses\ngood = [Dataset(topic='orders', table='good')]\n"
        f"{form.format(bad)}\nafter = Dataset(topic='users', table='after')",
    )
    plan = make_plan(tmp_path, store, prune=True)
    assert actions(plan) == {"bad": "error", "good": "register", "after": "register"}
    assert plan.errors[0].error.startswith("a.py:4: ")
    assert plan.only_registered == ()
    done = {o.table: bool(o.error) for o in apply_plan(plan, use_cases, "ci")}
    assert done == {"bad": True, "good": False, "after": False}
    assert store.get("bad").status != "RETIRED"
    with pytest.raises(InvalidFieldError, match="table"):
        Dataset(topic="orders", table="b b")  # elsewhere a bad one is refused at once


def test_one_dataset_of_a_file_may_be_tried_while_another_cannot_be(tmp_path: Path) -> None:
    write(
        tmp_path, a="x = [Dataset(topic='o', table='a'), Dataset(topic='o', table='b', buckets=0)]"
    )
    path = tmp_path / "a.py"
    assert [d.table for d in datasets_in_file(path, "a")] == ["a"]
    for table in ("b", None):
        with pytest.raises(SetupError, match=r"a.py:2: buckets=0"):
            datasets_in_file(path, table)


def test_what_no_file_defines_any_more_may_be_retired(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(tmp_path, a="x = [Dataset(topic=t, table=t) for t in ('orders', 'users')]")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    write(tmp_path, a="x = Dataset(topic='orders', table='orders')")
    assert make_plan(tmp_path, store).only_registered == ("users",)
    plan = make_plan(tmp_path, store, prune=True)
    assert actions(plan) == {"orders": "none", "users": "retire"}
    write(tmp_path, b="x = (")
    broken = make_plan(tmp_path, store, prune=True)
    assert actions(broken) == {"orders": "none", "b.py": "error", "users": "error"}
    (tmp_path / "b.py").unlink()
    assert [(o.table, o.action, o.error) for o in apply_plan(plan, use_cases, "ci")] == [
        ("users", "retire", "")
    ]
    assert store.get("users").status == "RETIRED"
    assert make_plan(tmp_path, store, prune=True).changes == []


def test_a_renamed_table_is_a_new_one_and_says_so(
    tmp_path: Path, store: Repository, use_cases: UseCases
) -> None:
    write(tmp_path, a="x = Dataset(topic='orders', table='orders')")
    list(apply_plan(make_plan(tmp_path, store), use_cases, "ci"))
    write(tmp_path, a="x = Dataset(topic='orders', table='orders_v2')")
    (step,) = make_plan(tmp_path, store).steps
    assert step.action == "register"
    assert "orders, which no file defines, is of the same topic" in step.told[0]


def test_other_kinds_of_tuples_are_left_alone(tmp_path: Path, store: Repository) -> None:
    """Some refuse to be gone through, as Dagster's records do."""
    write(
        tmp_path,
        a="class Sealed(tuple):\n    def __iter__(self):\n        raise TypeError('no')\n"
        "x = Sealed([1])\ny = [Dataset(topic='orders', table='orders')]",
    )
    assert actions(make_plan(tmp_path, store)) == {"orders": "register"}

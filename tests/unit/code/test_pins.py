"""Code of steps against what is on record of it, when it is registered, changed and planned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.code.package import Package
from lake_platform.code.pins import CodeBase, check_pins, pinned
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError, StepCodeError
from lake_platform.metastore.plan import Plan, apply_plan, make_plan
from lake_platform.metastore.repository import Repository, open_repository
from lake_platform.metastore.service import UseCases

FUNCTIONS = {"mask": "a.Mask"}
ORDERS = """
from lake_platform.domain.dataset import Dataset, Transform
from .shared import RATE

def tidy(frame):
    return frame.withColumn("eur", frame.n * RATE)

orders = Dataset(topic="orders", table="orders", owner="ann", transforms=(Transform.python(tidy),))
"""


@pytest.fixture
def base(tmp_path: Path) -> CodeBase:
    jars, definitions = tmp_path / "jars", tmp_path / "definitions"
    jars.mkdir()
    definitions.mkdir()
    (jars / "udfs.jar").write_bytes(b"one")
    (definitions / "shared.py").write_text("RATE = 2\n")
    (definitions / "orders.py").write_text(ORDERS)
    return CodeBase((jars,), definitions)


@pytest.fixture
def store() -> Iterator[Repository]:
    repository = open_repository("sqlite://", lambda: 1)
    yield repository
    repository.close()


@pytest.fixture
def use_cases(store: Repository, base: CodeBase) -> UseCases:
    kafka = MemoryKafka()
    kafka.create_topic("orders")
    kafka.produce("orders", None, b'{"id":1,"n":2}')
    return compose.build_use_cases(store, kafka, code=base)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def dataset(**step: Any) -> Dataset:
    given = {"kind": "jar", "jar": "udfs.jar", "functions": FUNCTIONS} | step
    return Dataset(topic="orders", table="t", transforms=(Transform(**given),))


def test_a_jar_is_taken_by_its_hash_alone(base: CodeBase, tmp_path: Path) -> None:
    good = dataset(sha256=sha(b"one"))
    assert pinned(good, base) == good
    for given in ("", "0" * 64, sha(b"one").upper()):
        with pytest.raises(InvalidFieldError) as caught:
            pinned(dataset(sha256=given), base)
        told = str(caught.value)
        assert str(tmp_path / "jars" / "udfs.jar") in told
        assert f'"sha256": "{sha(b"one")}"' in told
        assert caught.value.field == "transforms.sha256"


def test_a_jar_of_another_folder_with_the_hash_is_found(base: CodeBase, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "udfs.jar").write_bytes(b"two")
    both = replace(base, jars=(*base.jars, newer))
    assert pinned(dataset(sha256=sha(b"two")), both)
    assert pinned(dataset(sha256=sha(b"one")), both)


@pytest.mark.parametrize("jar", ["../outside.jar", "link.jar", "absent.jar", "/etc/hostname"])
def test_a_jar_outside_of_the_folders_is_none(base: CodeBase, tmp_path: Path, jar: str) -> None:
    (tmp_path / "outside.jar").write_bytes(b"one")
    (tmp_path / "jars" / "link.jar").symlink_to(tmp_path / "outside.jar")
    with pytest.raises(InvalidFieldError, match=r"is no file in .*LAKE_TRANSFORM_JARS"):
        pinned(dataset(jar=jar, sha256=sha(b"one")), base)


def test_without_a_folder_no_jar_is_allowed(base: CodeBase) -> None:
    with pytest.raises(InvalidFieldError, match=r"no folder is allowed.*LAKE_TRANSFORM_JARS"):
        pinned(dataset(sha256=sha(b"one")), replace(base, jars=()))


def test_whole_classes_are_refused_through_spark_connect(base: CodeBase) -> None:
    connect = replace(base, connect=True)
    assert pinned(dataset(sha256=sha(b"one")), connect)
    with pytest.raises(InvalidFieldError, match="Spark Connect"):
        pinned(dataset(sha256=sha(b"one"), class_name="a.Tidy"), connect)


def test_a_changed_file_is_not_what_is_on_record(base: CodeBase, tmp_path: Path) -> None:
    registered = pinned(dataset(sha256=sha(b"one")), base)
    check_pins(registered, base)
    (tmp_path / "jars" / "udfs.jar").write_bytes(b"two")
    with pytest.raises(StepCodeError, match=rf"step 1 \(udfs.jar\).*{sha(b'two')}"):
        check_pins(registered, base)


def test_a_function_is_pinned_when_it_is_registered(
    base: CodeBase, use_cases: UseCases, store: Repository
) -> None:
    step = Transform(kind="python", function="orders:tidy")
    wanted = Dataset(topic="orders", table="t", transforms=(step,))
    use_cases.register_dataset(wanted, "ann")
    held = store.get("t").dataset
    assert len(held.transforms[0].sha256) == 64
    check_pins(held, base)
    (base.definitions / "shared.py").write_text("RATE = 3\n")
    with pytest.raises(StepCodeError, match=r"orders:tidy has the fingerprint .* is on record"):
        check_pins(held, base)
    # What else is changed of the dataset asks nothing of the function, and takes none.
    use_cases.change_dataset("t", {"owner": "bob"}, 1, "bob")
    assert store.get("t").dataset.transforms == held.transforms
    told: list[str] = []
    new = [{"kind": "python", "function": "orders:tidy"}]
    record = use_cases.change_dataset("t", {"transforms": new}, 2, "bob", told.append)
    assert record.version == 3
    assert told[0].startswith("step 1: function orders:tidy is another one now (sha256 ")
    check_pins(record.dataset, base)
    entry = store.audit_log("t")[0]
    assert entry.before is not None and entry.after is not None
    assert entry.before["transforms"][0]["sha256"] == held.transforms[0].sha256
    assert entry.after["transforms"][0]["sha256"] == record.dataset.transforms[0].sha256


def test_a_pin_that_is_given_must_be_right(use_cases: UseCases) -> None:
    step = Transform(kind="python", function="orders:tidy", sha256="0" * 64)
    wanted = Dataset(topic="orders", table="t", transforms=(step,))
    with pytest.raises(InvalidFieldError, match="has the fingerprint"):
        use_cases.register_dataset(wanted, "ann")
    with pytest.raises(InvalidFieldError, match='"sha256": "'):
        use_cases.check_on(replace(wanted, transforms=(replace(step, sha256=""),)), None)


def planned(base: CodeBase, store: Repository, use_cases: UseCases) -> Plan:
    return make_plan(base.definitions, store, use_cases.check, pinned=use_cases.pinned)


def test_plan_shows_a_changed_function_and_apply_takes_it(
    base: CodeBase, store: Repository, use_cases: UseCases
) -> None:
    assert [o.error for o in apply_plan(planned(base, store, use_cases), use_cases, "ci")] == [""]
    assert planned(base, store, use_cases).changes == []
    (base.definitions / "orders.py").write_text(ORDERS.replace('"ann"', '"bob"'))
    [step] = planned(base, store, use_cases).changes
    assert [d.field for d in step.differences] == ["owner"]
    (base.definitions / "orders.py").write_text(ORDERS)
    (base.definitions / "shared.py").write_text("RATE = 3\n")
    [step] = planned(base, store, use_cases).changes
    assert [d.field for d in step.differences] == ["transforms"]
    assert "function orders:tidy is another one now" in step.told[0]
    assert [o.error for o in apply_plan(planned(base, store, use_cases), use_cases, "ci")] == [""]
    assert store.get("orders").version == 2
    check_pins(store.get("orders").dataset, base)


def test_plan_names_the_jar_that_is_another_one(
    base: CodeBase, store: Repository, use_cases: UseCases
) -> None:
    text = ORDERS.replace(
        "Transform.python(tidy)", f"Transform(kind='jar', jar='udfs.jar', functions={FUNCTIONS})"
    )
    (base.definitions / "orders.py").write_text(text)
    [error] = planned(base, store, use_cases).errors
    assert f'"sha256": "{sha(b"one")}"' in error.error


def test_packages_leave_nothing_behind_and_never_see_old_files(tmp_path: Path) -> None:
    import sys

    before = set(sys.modules)
    (tmp_path / "one.py").write_text("from .two import x\n")
    for value in (1, 2):
        (tmp_path / "two.py").write_text(f"x = {value}\n")
        with Package(tmp_path) as package:
            assert package.module("one").x == value
    assert not [n for n in sys.modules.keys() - before if n.startswith("lake_definitions")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.py", "two.py"]

"""What changes the fingerprint of a function, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.code.fingerprint import fingerprint
from lake_platform.errors import InvalidFieldError

ORDERS = '''"""Orders."""
import decimal
from pyspark.sql import functions as F
from . import shared
from .words import RATES as rates

LIMIT = 5
UNUSED = 1
TABLE = {}
TABLE["a"] = 1
TABLE.update(b=2)


def helper(n):
    return n + LIMIT


def other(n):
    return n - UNUSED


@F.udf("int")
def decorated(n):
    return helper(n)


def tidy(frame):
    # by rate
    return frame.withColumn("n", decorated("n") * rates["eur"] * TABLE["a"])
'''
BASE = {
    "orders.py": ORDERS,
    "words.py": 'RATES = {"eur": 2}\n',
    "shared.py": "from .deep.far import away\n",
    "deep/__init__.py": "",
    "deep/far.py": "from . import near\naway = near\n",
    "deep/near.py": "x = 1\n",
    "alone.py": "y = 1\n",
}


def written(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return fingerprint(directory, "orders:tidy")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("orders.py", "LIMIT = 5", "LIMIT = 6"),
        ("orders.py", 'TABLE["a"] = 1', 'TABLE["a"] = 3'),
        ("orders.py", "TABLE.update(b=2)", "TABLE.update(b=3)"),
        ("orders.py", '@F.udf("int")', '@F.udf("long")'),
        ("orders.py", "n + LIMIT", "n * LIMIT"),
        ("orders.py", 'rates["eur"] *', 'rates["eur"] +'),
        ("orders.py", "RATES as rates", "OTHER as rates"),
        ("words.py", "2", "3"),
    ],
)
def test_what_the_function_is_made_of_changes_it(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    before = written(tmp_path, BASE)
    assert old in BASE[name]
    assert written(tmp_path, BASE | {name: BASE[name].replace(old, new)}) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("orders.py", "UNUSED = 1", "UNUSED = 2"),
        ("orders.py", "return n - UNUSED", "return n"),
        ("orders.py", '"""Orders."""', '"""Other words."""'),
        ("orders.py", "LIMIT = 5", "\n# the most\nLIMIT = 5"),
        ("alone.py", "y = 1", "y = 2"),
        ("deep/near.py", "x = 1", "x = 2"),  # `shared` is imported and not used
    ],
)
def test_what_it_has_nothing_of_does_not(tmp_path: Path, name: str, old: str, new: str) -> None:
    before = written(tmp_path, BASE)
    assert old in BASE[name]
    assert written(tmp_path, BASE | {name: BASE[name].replace(old, new)}) == before


def test_modules_are_followed_to_the_last_one(tmp_path: Path) -> None:
    using = BASE | {"orders.py": ORDERS.replace('TABLE["a"]', "shared.away")}
    before = written(tmp_path, using)
    assert written(tmp_path, using | {"deep/near.py": "x = 2\n"}) != before
    assert written(tmp_path, using | {"deep/__init__.py": "z = 1\n"}) != before


def test_who_sees_all_is_made_of_all(tmp_path: Path) -> None:
    seeing = BASE | {"orders.py": ORDERS + '\n\ndef tidy(frame):\n    return globals()["other"]\n'}
    before = written(tmp_path, seeing)
    changed = seeing["orders.py"].replace("UNUSED = 1", "UNUSED = 2")
    assert written(tmp_path, seeing | {"orders.py": changed}) != before


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nothing:tidy", "there is no .*nothing.py"),
        ("orders:missing", "defines no function missing"),
        ("orders:LIMIT", "defines no function LIMIT"),
        ("bad:tidy", "cannot be read"),
        ("linked:tidy", "is a link to a file outside"),
    ],
)
def test_what_cannot_be_found_is_named(tmp_path: Path, reference: str, said: str) -> None:
    folder = tmp_path / "definitions"
    written(folder, BASE | {"bad.py": "def tidy(:"})
    (tmp_path / "outside.py").write_text("def tidy(frame):\n    return frame\n")
    (folder / "linked.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(InvalidFieldError, match=said):
        fingerprint(folder, reference)

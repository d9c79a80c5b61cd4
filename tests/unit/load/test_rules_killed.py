"""A load that rules have a say in, killed at every change it makes: started again it ends well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Rule, Status
from lake_platform.errors import RuleBrokenError
from tests.support import Fault, Lab, Trap, faulty_ports

ASIDE = (
    Rule(column="price", min=0, policy="quarantine"),
    Rule(column="code", unique=True, policy="quarantine"),
)


def opened(home: Path, rules: tuple[Rule, ...], **fields: Any) -> Lab:
    home.mkdir()
    lab = Lab(home)
    lab.register(rules=rules, max_quarantine_ratio=1.0, **fields)
    lab.send({"id": 1, "price": 1, "code": "a"})
    lab.send({"id": 2, "price": -1, "code": "b"}, reason="breaks the rule price.min")
    lab.send({"id": 3, "price": 1, "code": "a"}, reason="breaks the rule code.unique")
    lab.dump()
    return lab


def killed(lab: Lab, at: int, when: str) -> bool:
    trap = Trap(at, when=when)
    try:
        lab.load(**faulty_ports(lab, trap))
    except Fault:
        lab.workers.crash()
        return True
    except RuleBrokenError:
        pass
    return False


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fields", [{}, {"mode": "upsert", "primary_key": ("id",)}])
def test_records_put_aside(tmp_path: Path, fields: dict[str, Any], when: str) -> None:
    for at in range(1, 50):
        lab = opened(tmp_path / str(at), ASIDE, **fields)
        died = killed(lab, at, when)
        lab.load()
        lab.account()
        lab.close()
        if not died:
            return
    raise AssertionError("a load of 50 changes")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_batch_that_is_blocked(tmp_path: Path, when: str) -> None:
    for at in range(1, 50):
        lab = opened(tmp_path / str(at), (Rule(column="price", min=0, policy="block"),))
        died = killed(lab, at, when)
        if lab.metastore.get("t").status != Status.BLOCKED:
            with pytest.raises(RuleBrokenError):
                lab.load()
        [_] = lab.metastore.incidents("t", "OPEN")
        assert not lab.rows()
        lab.close()
        if not died:
            return
    raise AssertionError("a load of 50 changes")

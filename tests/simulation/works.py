"""What writers do: the use cases of the platform, as steps of a schedule name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.windows import window_of
from lake_platform.dump.dump import dump
from lake_platform.load.load import load
from lake_platform.load.quarantined import Wanted
from lake_platform.load.redrive import Redrive
from lake_platform.maintain.cleaner import compact_log
from lake_platform.rebuild.rebuild import Rebuilder
from tests.simulation.plan import Mode, Run, Work

if TYPE_CHECKING:
    from lake_platform.metastore.repository import Repository
    from tests.simulation.world import World

TABLE, TOPIC = "t", "topic.t"
READER = "reader"  # of the raw of the other
_OF_READER = frozenset(["read", "reread", "tidy"])


def table_of(work: Work) -> str:
    return READER if work in _OF_READER else TABLE


def reader_of(owner: Dataset, mode: Mode) -> Dataset:
    key = ("id",) if mode == "upsert" else ()
    return replace(owner, table=READER, raw_from=TABLE, mode=mode, primary_key=key)


def work_of(world: World, step: Run, ports: Ports) -> Callable[[], object]:
    limits, option = world.limits, step.option
    if step.work == "dump":
        return lambda: list(dump(TABLE, ports, limits))
    table = table_of(step.work)
    if step.work in ("load", "read"):
        return lambda: list(load(table, ports, limits))
    if step.work in ("replay", "reread"):
        return lambda: list(load(table, ports, limits, _window(world, option), replay=True))
    if step.work == "tidy":
        return lambda: compact_log(table, ports)
    if step.work == "redrive":
        chosen = bool(option)
        return lambda: list(Redrive(TABLE, ports, limits, Wanted(), rescued=chosen).run())
    if step.work == "clean":
        world.retention = world.retention or option >= 100
        return lambda: compact_log(TABLE, ports, option % 100, 7 if option >= 100 else 0)
    return _of_a_rebuild(world, step, ports)


def _of_a_rebuild(world: World, step: Run, ports: Ports) -> Callable[[], object]:
    rebuilder = Rebuilder(cast("Repository", ports.metastore), ports, world.limits)
    if step.work == "build":
        asked = _other_definition(world, step.option)

        def build() -> None:
            rebuilder.begin(TABLE, asked, "operator")
            for _ in rebuilder.build(TABLE):
                pass

        return build
    if step.work == "swap":
        return lambda: rebuilder.swap(TABLE)
    if step.work == "abort":
        return lambda: rebuilder.abort(TABLE, "operator")
    return lambda: rebuilder.end_left(TABLE)


def _other_definition(world: World, option: int) -> dict[str, Any]:
    """The one that is being built already, or a new one."""
    if world.metastore.rebuild(TABLE) is not None:
        return {}
    if option and (world.setting.firm or world.setting.engine == "memory"):
        upsert = world.dataset.mode == "append"
        key = ["id"] if upsert else []
        return {"mode": "upsert" if upsert else "append", "primary_key": key}
    return {"columns.n": {"type": "json"}}


def _window(world: World, option: int) -> list[str]:
    known = sorted({window_of(s.timestamp) for s in world.sent})
    return [known[option % len(known)]] if known else []

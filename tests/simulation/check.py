"""Runs one schedule and says what broke, if anything."""

from __future__ import annotations

from tests.simulation import account
from tests.simulation.patches import no_chance
from tests.simulation.plan import Schedule
from tests.simulation.world import Broken, Hits, World


def broken(schedule: Schedule, hits: Hits | None = None) -> str:
    """What did not hold; empty when all did."""
    with no_chance():
        world = World(schedule, hits)
        try:
            _live(world)
        except Broken as found:
            return str(found)
        finally:
            world.end()
    return ""


def _live(world: World) -> None:
    world.run()
    world.wake("alive")  # nobody goes past those
    if world.setting.engine == "hudi-like":
        world.produce("value", 0)  # a batch found twice is undone by the next load that has work
    world.recover()
    account.close(world)
    if world.standing:
        world.wake("dead", "away")
        world.produce("value", 0)
        world.recover()
        account.close(world)

"""Once an incident, a reminder, an all-clear; whatever restarts and whoever does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest

from lake_platform.alerting.deliver import Told, tell
from lake_platform.alerting.message import Message, Receiver
from lake_platform.domain.alerts import BLOCKED, LATE, Alert
from lake_platform.domain.telling import KEPT_MS
from lake_platform.errors import DeliveryError
from lake_platform.metastore.repository import Repository, open_repository

START = 1_793_491_200_000
HOUR_MS = 3_600_000
TICK_MS = 30_000
ORDERS = Alert(BLOCKED, "orders", "7", "table orders is BLOCKED", "lake incidents show 7")
CLICKS = Alert(LATE, "clicks", "", "table clicks is late", "lake datasets stats clicks")


@dataclass(eq=False)
class Inbox:
    """A receiver that keeps what it gets; `broken` is raised instead."""

    name: str = "inbox"
    broken: Exception | None = None
    tries: int = 0
    got: list[str] = field(default_factory=list)

    def send(self, message: Message) -> str:
        self.tries += 1
        if self.broken:
            raise self.broken
        self.got += [f"{n.alert.table or n.alert.subject} {n.what}" for n in message.notices]
        return "ok"

    def taken(self) -> list[str]:
        found, self.got = self.got, []
        return found


class Watch:
    """Rounds of 30 s, as the sensor makes them."""

    def __init__(self, open_store: Callable[[], Repository], *receivers: Receiver) -> None:
        self.open_store, self.receivers = open_store, list(receivers)
        self.store = open_store()
        self.now = START

    def round(self, *firing: Alert, after_ms: int = TICK_MS, reminder_ms: int = 0) -> Told:
        self.now += after_ms
        return tell(firing, self.store, self.receivers, reminder_ms, self.now)

    def restart(self) -> None:
        self.store.close()
        self.store = self.open_store()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def make(*receivers: Receiver) -> Watch:
        url = f"sqlite:///{tmp_path / 'metastore.db'}"
        made.append(Watch(lambda: open_repository(url, lambda: START), *receivers))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_once_an_incident_and_once_that_it_is_over(watch: Callable[..., Watch]) -> None:
    inbox = Inbox()
    rounds = watch(inbox)
    assert rounds.round(ORDERS).fires == [ORDERS.key]
    assert inbox.taken() == ["orders fires"]
    for _ in range(5):
        rounds.round(ORDERS)
        rounds.restart()
    assert inbox.taken() == []
    rounds.round()
    assert inbox.taken() == []  # it may flap
    rounds.restart()
    rounds.round(after_ms=60_000)
    assert inbox.taken() == ["orders is over"]
    rounds.round(after_ms=HOUR_MS)
    assert inbox.taken() == []


def test_what_flaps_is_one_incident_and_what_comes_again_is_another(
    watch: Callable[..., Watch],
) -> None:
    inbox = Inbox()
    rounds = watch(inbox)
    for n in range(8):
        rounds.round(*([CLICKS] if n % 2 == 0 else []))
    assert inbox.taken() == ["clicks fires"]
    rounds.round(after_ms=60_000)
    assert inbox.taken() == ["clicks is over"]
    rounds.round(CLICKS)
    assert inbox.taken() == ["clicks fires"]
    # Another incident of the same table has another key.
    rounds.round(CLICKS, ORDERS)
    rounds.round(CLICKS, replace(ORDERS, subject="8"))
    assert inbox.taken() == ["orders fires", "orders fires"]


def test_one_message_a_round_however_much_there_is(watch: Callable[..., Watch]) -> None:
    inbox = Inbox()
    rounds = watch(inbox)
    rounds.round(*(replace(CLICKS, table=f"t{n}") for n in range(1_000)))
    assert (inbox.tries, len(inbox.taken())) == (1, 1_000)


def test_reminders(watch: Callable[..., Watch]) -> None:
    inbox = Inbox()
    rounds = watch(inbox)
    said = []
    for _ in range(60):
        rounds.round(ORDERS, after_ms=HOUR_MS, reminder_ms=24 * HOUR_MS)
        said += inbox.taken()
    assert said == ["orders fires", "orders still fires", "orders still fires"]


def test_a_receiver_that_fails_is_tried_again_and_stops_no_other(
    watch: Callable[..., Watch],
) -> None:
    down, well = Inbox("down", DeliveryError("down", "HTTP 500")), Inbox("well")
    rounds = watch(down, well)
    done = rounds.round(ORDERS)
    assert (done.answers, done.failures) == ({"well": "ok"}, {"down": "HTTP 500"})
    assert well.taken() == ["orders fires"]
    for _ in range(40):  # twenty minutes
        rounds.round(ORDERS)
    assert 4 <= down.tries <= 8  # ever less often
    # That one is not told is told to the other.
    assert well.taken() == ["down fires"]
    state = rounds.store.receivers()["down"]
    assert (state.failing_since, state.error) == (START + TICK_MS, "HTTP 500")
    down.broken = None
    rounds.restart()
    for _ in range(30):
        rounds.round(ORDERS)
    assert down.taken()[:1] == ["orders fires"]
    assert well.taken() == ["down is over"]
    assert rounds.store.receivers()["down"].failing_since == 0


def test_a_receiver_with_a_bug_is_one_that_fails(watch: Callable[..., Watch]) -> None:
    bug, well = Inbox("bug", KeyError("https://hooks/secret")), Inbox("well")
    rounds = watch(bug, well)
    assert rounds.round(ORDERS).failures == {"bug": "failed with KeyError"}
    assert well.taken() == ["orders fires"]


def test_what_came_and_went_while_a_receiver_was_down_is_not_told(
    watch: Callable[..., Watch],
) -> None:
    inbox = Inbox(broken=DeliveryError("inbox", "away"))
    rounds = watch(inbox)
    rounds.round(ORDERS)
    rounds.round()
    rounds.round(after_ms=60_000)
    inbox.broken = None
    rounds.round(after_ms=HOUR_MS)
    assert inbox.taken() == ["inbox fires"]  # that it was not told for a while


def test_receivers_come_and_go(watch: Callable[..., Watch]) -> None:
    first, second = Inbox("first"), Inbox("second")
    rounds = watch(first)
    rounds.round(ORDERS)
    rounds.receivers = [second]
    rounds.round(ORDERS)
    assert second.taken() == ["orders fires"]
    assert set(rounds.store.receivers()) == {"second"}
    rounds.receivers = []
    rounds.round(ORDERS)
    [held] = rounds.store.held_alerts()
    assert (held.alert, held.opened_at) == (ORDERS, START + TICK_MS)


def test_a_death_between_message_and_record_tells_again_and_loses_nothing(
    watch: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    rounds = watch(inbox)
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "keep_receiver", lambda *_: 1 / 0)
        patched.setattr("lake_platform.alerting.deliver.told", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rounds.round(ORDERS)
    rounds.restart()
    rounds.round(ORDERS)
    assert inbox.taken() == ["orders fires", "orders fires"]


def test_what_is_over_goes_from_the_record(watch: Callable[..., Watch]) -> None:
    rounds = watch()
    rounds.round(ORDERS)
    rounds.round()
    rounds.round(after_ms=60_000)
    assert [bool(h.closed_at) for h in rounds.store.held_alerts()] == [True]
    rounds.round(after_ms=KEPT_MS)
    assert rounds.store.held_alerts() == []


def test_a_slow_receiver_does_not_hold_the_others(watch: Callable[..., Watch]) -> None:
    arrived = Event()

    class Slow(Inbox):
        def send(self, message: Message) -> str:  # noqa: ARG002 - port
            assert arrived.wait(10), "the other one waits for us"
            return "late"

    class Quick(Inbox):
        def send(self, message: Message) -> str:  # noqa: ARG002 - port
            arrived.set()
            return "ok"

    done = watch(Slow("slow"), Quick("quick")).round(ORDERS)
    assert done.answers == {"slow": "late", "quick": "ok"}

"""Who was told of which alert: once an incident, with reminders and an all-clear. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from lake_platform.domain.alerts import CHECK_FAILED, JOB_FAILED, UNDELIVERED, Alert

QUIET_MS = 60_000
"""What stops firing and fires again within this is one incident."""
KEPT_MS = 30 * 86_400_000
"""How long an alert that is over stays on record."""
_FIRST_PAUSE_MS = 30_000
_LONGEST_PAUSE_MS = 600_000
# Only Dagster, or a delivery, shows these: the record is all there is of them.
_ON_RECORD = frozenset([CHECK_FAILED, JOB_FAILED, UNDELIVERED])
What = Literal["fires", "still fires", "is over"]


@dataclass(frozen=True, slots=True)
class HeldAlert:
    """An alert on record. Times in ms, 0 = not. `told`: when each receiver was last told that it
    fires; one that was told that it is over is not in it any more."""

    alert: Alert
    opened_at: int
    quiet_since: int = 0
    closed_at: int = 0
    told: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """How delivery to a receiver goes. `failing_since` is 0 when the last try was taken."""

    name: str
    succeeded_at: int = 0
    failing_since: int = 0
    tries: int = 0
    next_at: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of a message."""

    what: What
    alert: Alert
    since: int


class AlertStore(Protocol):
    """Where alerts and deliveries are on record (metastore/alerts)."""

    def held_alerts(self) -> Sequence[HeldAlert]:
        """Also those that are over, oldest first."""
        ...

    def keep_alerts(self, put: Iterable[HeldAlert], dropped: Iterable[str] = ()) -> None: ...

    def receivers(self) -> Mapping[str, ReceiverState]: ...

    def keep_receiver(self, state: ReceiverState) -> None: ...

    def drop_receivers(self, but: Iterable[str]) -> None: ...

    def beat(self, name: str, at: int) -> None:
        """That `name` was at work."""
        ...

    def beats(self) -> Mapping[str, int]: ...


def taken_up(
    held: Iterable[HeldAlert], firing: Iterable[Alert], now_ms: int
) -> tuple[list[HeldAlert], list[str]]:
    """The record of alerts brought to `firing`: what changed in it, and keys that are dropped."""
    known = {h.alert.key: h for h in held}
    now = {a.key: a for a in firing}
    changed = [
        fresh for key, alert in now.items()
        if (fresh := _fires(known.get(key), alert, now_ms)) != known.get(key)
    ]  # fmt: skip
    dropped = []
    for key, one in known.items():
        if key in now:
            continue
        if one.closed_at and now_ms - one.closed_at >= KEPT_MS:
            dropped.append(key)
        elif not one.closed_at and (quiet := _quiet(one, now_ms)) != one:
            changed.append(quiet)
    return changed, dropped


def _fires(known: HeldAlert | None, alert: Alert, now_ms: int) -> HeldAlert:
    if known is None or (known.closed_at and not known.told):
        return HeldAlert(alert, now_ms)
    # Who was not told that it was over did not see it end.
    return replace(known, alert=alert, quiet_since=0, closed_at=0)


def _quiet(one: HeldAlert, now_ms: int) -> HeldAlert:
    since = one.quiet_since or now_ms
    over = now_ms - since >= QUIET_MS
    return replace(one, quiet_since=since, closed_at=now_ms if over else 0)


def as_of(
    held: Iterable[HeldAlert],
    firing: Iterable[Alert],
    now_ms: int,
    unseen: Collection[str] = (),
) -> list[HeldAlert]:
    """The record as it is to be shown: the sensor may not have looked yet, or not run at all. What
    fires and is not on it begins at `now_ms`. What is over comes last. `unseen`: names that were
    not looked for.
    """
    left = _ON_RECORD.union(unseen)
    known = {h.alert.key: h for h in held}
    fires = {a.key: a for a in firing}
    for key, alert in fires.items():
        one = known.get(key)
        fresh = one is None or one.closed_at
        known[key] = HeldAlert(alert, now_ms) if fresh or one is None else replace(one, alert=alert)
    for key, one in known.items():
        if key not in fires and one.alert.name not in left and not one.closed_at:
            known[key] = replace(one, closed_at=now_ms)
    return sorted(known.values(), key=lambda h: (bool(h.closed_at), h.opened_at))


def due(
    held: Iterable[HeldAlert], receiver: str, reminder_ms: int, now_ms: int
) -> list[tuple[HeldAlert, Notice]]:
    """What `receiver` is to be told now. Without `reminder_ms` nobody is reminded."""
    found = []
    for one in held:
        at = one.told.get(receiver)
        what: What | None = None
        if one.closed_at:
            what = "is over" if at is not None else None
        elif at is None:
            what = "fires"
        elif reminder_ms and now_ms - at >= reminder_ms and not one.quiet_since:
            what = "still fires"
        if what:
            found.append((one, Notice(what, one.alert, one.opened_at)))
    return found


def told(one: HeldAlert, receiver: str, now_ms: int) -> HeldAlert:
    rest = {name: at for name, at in one.told.items() if name != receiver}
    return replace(one, told=rest if one.closed_at else {**rest, receiver: now_ms})


def forgotten(one: HeldAlert, receivers: Iterable[str]) -> HeldAlert:
    """Without receivers that are no more, who would never be told that it is over."""
    kept = set(receivers)
    return replace(one, told={name: at for name, at in one.told.items() if name in kept})


def taken(state: ReceiverState, now_ms: int) -> ReceiverState:
    return ReceiverState(state.name, succeeded_at=now_ms)


def refused(state: ReceiverState, error: str, now_ms: int) -> ReceiverState:
    pause = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(state.tries, 10))
    return replace(
        state, failing_since=state.failing_since or now_ms, tries=state.tries + 1,
        next_at=now_ms + pause, error=error,
    )  # fmt: skip

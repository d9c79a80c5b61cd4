"""Brings the record of alerts up to date, and tells each receiver what it was not told yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from lake_platform.alerting.message import Message, Receiver
from lake_platform.domain.alerts import RETRIED_MS, UNDELIVERED, Alert
from lake_platform.domain.telling import (
    AlertStore,
    HeldAlert,
    Notice,
    ReceiverState,
    due,
    forgotten,
    refused,
    taken,
    taken_up,
    told,
)
from lake_platform.errors import DeliveryError

BEAT = "alerts"
_log = structlog.get_logger(__name__)
_Due = Sequence[tuple[HeldAlert, Notice]]


@dataclass(frozen=True, slots=True)
class Told:
    """What a round came to: alerts that fire, by key; what each receiver answered, or why not."""

    fires: Sequence[str]
    answers: Mapping[str, str]
    failures: Mapping[str, str]


def tell(
    firing: Iterable[Alert],
    store: AlertStore,
    receivers: Sequence[Receiver],
    reminder_ms: int,
    now_ms: int,
) -> Told:
    """Each receiver is told once that an alert fires, reminded, and told once that it is over.

    A message is on record once it was taken: who dies in between tells it again. One receiver that
    does not answer is tried again after a pause, and keeps no other waiting.

    Raises: MetastoreUnavailableError.
    """
    names = [r.name for r in receivers]
    states = store.receivers()
    if gone := states.keys() - set(names):
        store.drop_receivers(names)
    all_firing = [*firing, *_undelivered([s for n, s in states.items() if n not in gone], now_ms)]
    changed, dropped = taken_up(store.held_alerts(), all_firing, now_ms)
    store.keep_alerts(changed, dropped)
    held = [forgotten(one, names) for one in store.held_alerts()]
    asked = {
        r: wanted
        for r in receivers
        if states.get(r.name, ReceiverState(r.name)).next_at <= now_ms
        and (wanted := due(held, r.name, reminder_ms, now_ms))
    }
    results = _send_all(asked, now_ms)
    by_key = {one.alert.key: one for one in held}
    for receiver, result in results.items():
        state = states.get(receiver.name, ReceiverState(receiver.name))
        if isinstance(result, DeliveryError):
            store.keep_receiver(refused(state, result.why, now_ms))
            continue
        for one, _ in asked[receiver]:
            by_key[one.alert.key] = told(by_key[one.alert.key], receiver.name, now_ms)
        store.keep_alerts(by_key[one.alert.key] for one, _ in asked[receiver])
        store.keep_receiver(taken(state, now_ms))
    store.beat(BEAT, now_ms)
    return Told(
        [a.key for a in all_firing],
        {r.name: found for r, found in results.items() if isinstance(found, str)},
        {r.name: found.why for r, found in results.items() if isinstance(found, DeliveryError)},
    )


def send(receiver: Receiver, message: Message) -> str | DeliveryError:
    """What it answered, or why it could not be told. Nothing else comes out of here: a receiver is
    foreign code and a foreign system."""
    try:
        return receiver.send(message)
    except DeliveryError as error:
        failure = error
    except Exception as error:
        # Its text may hold an address with a secret in it.
        failure = DeliveryError(receiver.name, f"failed with {type(error).__name__}")
    _log.warning("alerts not delivered", receiver=receiver.name, error=failure.why)
    return failure


def _send_all(asked: Mapping[Receiver, _Due], now_ms: int) -> dict[Receiver, str | DeliveryError]:
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked), thread_name_prefix="alerts") as pool:
        sent = {
            receiver: pool.submit(send, receiver, Message([n for _, n in wanted], now_ms))
            for receiver, wanted in asked.items()
        }
        return {receiver: future.result() for receiver, future in sent.items()}


def _undelivered(states: Iterable[ReceiverState], now_ms: int) -> list[Alert]:
    return [
        Alert(
            UNDELIVERED, "", s.name, f"alerts are not delivered to {s.name}: {s.error}",
            "lake alerts test",
        )
        for s in states
        if s.failing_since and now_ms - s.failing_since >= RETRIED_MS
    ]  # fmt: skip

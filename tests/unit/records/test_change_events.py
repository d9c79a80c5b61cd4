"""The reading of change events against the audit's, which shares no code with it: of events of all
envelopes in which anything may be missing or be something else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.audit.change import ChangeReader
from lake_platform.audit.scalars import UnfitError
from lake_platform.domain.dataset import Dataset
from lake_platform.records.opened import Opener
from tests.properties import examples
from tests.unit.load.test_changes import EVENTS, NO_ROW, TIMES, TYPED, envelope_of

_FIELDS = [
    {"type": "int64", "field": "id"},
    *({**schema, "field": f"x{n}"} for n, (schema, *_) in enumerate(TYPED)),
]
_ROW = {"id": 1, **{f"x{n}": value for n, (_, value, *_) in enumerate(TYPED)}}
_TYPED = {
    "schema": {
        "type": "struct",
        "fields": [{"type": "struct", "field": f, "fields": _FIELDS} for f in ("before", "after")],
    },
    "payload": EVENTS["debezium"]("u", _ROW, {**_ROW, "id": 2}, 5),
}
_EVENTS: list[tuple[str, Any]] = [
    (envelope_of(name), EVENTS[name](op, *images, 7))
    for name in EVENTS
    for op, images in (
        ("c", (None, {"id": 1, "n": "a"})),
        ("u", ({"id": 1, "n": "a"}, {"id": 2, "n": "a"})),
        ("d", ({"id": 1, "n": "a"}, None)),
        ("t", (None, None)),
    )
]
_EVENTS += [("debezium", event) for event in (_TYPED, *NO_ROW.values())]
_KEYS = st.sampled_from(
    [
        None,
        "7",
        '{"id":1}',
        '{"id":"{\\"$oid\\":\\"a\\"}"}',
        '{"schema":{},"payload":{"id":1}}',
        "{",
    ]
)
_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.sampled_from(
        [1.5, "", "a", "c", "d", "17", '{"id":{"$numberLong":"5"}}', "AQ==", "2026-11-01", [], [7],
         [None], {}, {"id": 5}, {"fields": [7]}, {"fields": 7}, {"field": []}, 20_000,
         f"{TIMES}Date", f"{TIMES}Timestamp", f"{TIMES}MicroTime", "00000005", "1e400", "-07", "-2",
         list(b"__debezium_unavailable_value"), "int32", "bytes", "struct", 10**18]
    ),
)  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    envelope, event = draw(st.sampled_from(_EVENTS))
    changed = json.loads(json.dumps(event))
    for _ in range(draw(st.integers(0, 3))):
        place = changed
        while True:
            if not place:
                break
            at = draw(
                st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
            )
            inner = place[at]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                place = inner
                continue
            if draw(st.booleans()):
                place[at] = json.loads(json.dumps(draw(_ANYTHING)))
            else:
                del place[at]
            break
    return draw(st.sampled_from([envelope, "auto"])), changed


def _mine(envelope: Any, event: Any, key: str | None, mode: Any) -> tuple[str, Any]:
    dataset = Dataset(
        topic="t", table="t", envelope=envelope, mode=mode,
        primary_key=("id",) if mode == "upsert" else (),
    )  # fmt: skip
    opened = Opener(dataset).value(json.dumps(event).encode(), key)
    if opened.ends in ("nothing", "truncate"):
        return "nothing", None
    if opened.ends == "delete":
        return "delete", None
    if opened.ends:
        return "bad", None
    return "row", json.loads(opened.data, parse_float=Decimal)


def _audits(envelope: str, event: Any, key: str | None, mode: str) -> tuple[str, Any]:
    said = json.loads(json.dumps(event), parse_float=Decimal)
    try:
        found = ChangeReader(envelope, changelog=mode == "append").read(said, key)
    except UnfitError:
        return "bad", None
    if found.row is not None:
        return "row", found.row
    return ("delete" if found.gone else "nothing"), None


@examples(400)
@given(events(), _KEYS, st.sampled_from(["upsert", "append"]))
def test_both_read_the_same(made: tuple[str, Any], key: str | None, mode: str) -> None:
    envelope, event = made
    assert _mine(envelope, event, key, mode) == _audits(envelope, event, key, mode)


@pytest.mark.parametrize(("envelope", "event"), _EVENTS)
def test_sound_events_are_read(envelope: str, event: Any) -> None:
    kind, row = _mine(envelope, event, '{"id":1}', "upsert")
    assert kind in ("row", "delete", "nothing")
    assert (kind, row) == _audits(envelope, event, '{"id":1}', "upsert")

"""The reading of change events against the audit's, which shares no code with it: of events of all
envelopes in which anything may be missing or be something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


_JUNK: list[Any] = [
    None, "", "x", "17", "a:b", "1e400", "2026-11-01T10:00:00.5",
    0, -1, 1.5, True, 10**18, -(10**9),
    [], [5], [None], [""], [[]], [{}], [{"id": 1}, {"id": 2}], {}, {"a": 1},
]  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in inside:
        yield (*at, name)
        if isinstance(one, dict | list):
            yield from _places(one, (*at, name))


def _spoiled(event: Any, at: tuple[Any, ...]) -> Iterator[Any]:
    """With that place gone, or with something else in it."""
    for junk in (*_JUNK, ...):
        changed = place = json.loads(json.dumps(event))
        for name in at[:-1]:
            place = place[name]
        if junk is ...:
            del place[at[-1]]
        else:
            place[at[-1]] = junk
        yield changed


@pytest.mark.parametrize(("said", "mode"), [("", "upsert"), ("auto", "append")])
@pytest.mark.parametrize(("envelope", "event"), _EVENTS)
def test_both_read_the_same_of_anything_anywhere(
    envelope: str, event: Any, said: str, mode: str
) -> None:
    for at in _places(event):
        for changed in _spoiled(event, at):
            mine = _mine(said or envelope, changed, '{"id":1}', mode)
            assert mine == _audits(said or envelope, changed, '{"id":1}', mode), (at, changed)


@pytest.mark.parametrize("old", [[], "", {}, 0, [5]])
def test_an_update_that_does_not_say_what_was_is_none(old: Any) -> None:
    event = EVENTS["canal"]("u", {"id": 1}, {"id": 2}, 7) | {"old": old}
    assert _mine("canal", event, None, "upsert") == ("bad", None)


@pytest.mark.parametrize("scale", [10**9, -(10**9), 1_001, 1.5, True, "x", None, [1]])
def test_a_scale_that_is_none_is_not_made_one(scale: Any) -> None:
    """A thousand million zeros are more than there is memory."""
    fields = [{"type": "struct", "name": "io.debezium.data.VariableScaleDecimal", "field": "n"}]
    schema = {"type": "struct", "fields": [{"type": "struct", "field": "after", "fields": fields}]}
    row = {"n": {"scale": scale, "value": "AQ=="}}
    event = {"schema": schema, "payload": EVENTS["debezium"]("c", None, row, 5)}
    assert _mine("debezium", event, None, "append") == ("bad", None)
    row["n"]["scale"] = 3
    assert _mine("debezium", event, None, "append")[1]["n"] == Decimal("0.001")


@pytest.mark.parametrize(("envelope", "event"), _EVENTS)
def test_sound_events_are_read(envelope: str, event: Any) -> None:
    kind, row = _mine(envelope, event, '{"id":1}', "upsert")
    assert kind in ("row", "delete", "nothing")
    assert (kind, row) == _audits(envelope, event, '{"id":1}', "upsert")

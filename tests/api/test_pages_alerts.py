"""What fires, on the pages."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from typing import cast

import pytest
from fastapi import FastAPI

from lake_platform.domain.alerts import BROKEN, CHECK_FAILED, KAFKA, LATE, Alert
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.telling import HeldAlert
from lake_platform.metastore.firing import fires, fires_of
from lake_platform.metastore.tables import ProgressRow
from tests.api.conftest import NOW, Stack
from tests.api.test_pages import EVIL, get

HOUR = 3_600_000
AUDIT = Alert(CHECK_FAILED, "orders", "audit", "3 lost", "lake audit orders")


@pytest.fixture
def blocked(stack: Stack) -> Stack:
    """`orders` is blocked, `other` late; the sensor looked an hour ago."""
    store = stack.metastore
    for table in ("orders", "other", "fine"):
        store.register(Dataset(topic=table, table=table), None, "ann")
    store.update_progress("other", complete_through=NOW - 5 * HOUR)
    store.update_progress("fine", complete_through=NOW)
    store.block("orders", (), "b1", (), "engine", f"the disk is on fire {EVIL}")
    store.keep_alerts([
        HeldAlert(AUDIT, NOW - HOUR),
        HeldAlert(Alert(CHECK_FAILED, "orders", "balance", "it is over", "x"), 1, 2, 3),
        HeldAlert(Alert(LATE, "fine", "", "it was late", "x"), NOW - HOUR),
    ])  # fmt: skip
    return stack


def names(text: str) -> list[str]:
    return re.findall(r"<strong>(Lake\w+)</strong>", text)


def test_the_overview_says_what_fires_since_when_and_what_to_do(blocked: Stack) -> None:
    page = get(blocked, "/ui")
    for said in (
        "3 alerts fire, 2 critical", "LakeTableBlocked", "the disk is on fire", EVIL, "seen now",
        "lake incidents show 1", "LakeCheckFailed", "since 2027-01-15 07:00:00", "3 lost",
        "lake audit orders", "LakeTableLate", "max_lag_seconds is", "lake datasets stats other",
    ):  # fmt: skip
        assert said in page.text, said
    assert "it is over" not in page.text
    assert "it was late" not in page.text, "the metastore says that it is not"
    assert "/ui/incidents/1" in page.links
    shown = names(blocked.client.get("/ui").text)
    assert shown == ["LakeTableBlocked", "LakeCheckFailed", "LakeTableLate"], "critical ones first"


def test_what_the_record_does_not_have_has_no_beginning(blocked: Stack) -> None:
    """Also with a clock that goes on while the page is made."""
    state = cast("FastAPI", blocked.client.app).state
    state.parts = replace(state.parts, clock=count(NOW + 60_000).__next__)
    for path in ("/ui", "/ui/datasets/orders"):
        told = get(blocked, path).text.split("Alerts that fire")[1].split("What each means")[0]
        assert "seen now" in told
        assert "since 2027-01-15 08:01" not in told


def test_a_dataset_shows_its_own(blocked: Stack) -> None:
    assert names(blocked.client.get("/ui/datasets/orders").text) == [
        "LakeTableBlocked", "LakeCheckFailed",
    ]  # fmt: skip
    assert names(blocked.client.get("/ui/datasets/other").text) == ["LakeTableLate"]
    fine = get(blocked, "/ui/datasets/fine")
    assert "Alerts that fire" not in fine.text
    assert "#alerts" not in fine.links


def test_a_dataset_and_the_overview_say_the_same(blocked: Stack) -> None:
    """Also of two open incidents, of which the oldest is told."""
    store, now = blocked.metastore, NOW + HOUR
    store.block("orders", (), "b2", (), "engine", "another one")
    everything = fires(store, store.standings(), now)
    for table in ("orders", "other", "fine"):
        mine = fires_of(
            store, store.get(table), store.progress(table), store.incidents(table), now
        )  # fmt: skip
        assert mine == [one for one in everything if one.alert.table == table]


def test_what_is_about_the_platform_is_on_the_overview_alone(blocked: Stack) -> None:
    blocked.metastore.update_progress(
        "other", dump_error="no answer", dump_error_kind="KafkaUnavailableError"
    )
    with blocked.metastore._write() as session:
        session.get_one(ProgressRow, "other").dump_failing_since = NOW - HOUR
    assert KAFKA in names(blocked.client.get("/ui").text)
    assert KAFKA not in names(blocked.client.get("/ui/datasets/other").text)


def test_of_a_definition_that_cannot_be_read_the_record_tells(blocked: Stack) -> None:
    """Its dataset is judged all the same; to look whether it can be read costs too much here."""
    blocked.metastore.keep_alerts([HeldAlert(Alert(BROKEN, "", "", "fine: no mode", "x"), NOW)])
    with blocked.metastore._write() as session:
        row = blocked.metastore._row(session, "other")
        row.definition = row.definition | {"mode": "unheard of"}
    page = get(blocked, "/ui")
    for said in ("LakeDefinitionBroken", "fine: no mode", "LakeTableLate"):
        assert said in page.text


def test_many_leave_room_for_the_list(blocked: Stack) -> None:
    for number in range(20):
        table = f"late{number:02}"
        blocked.metastore.register(Dataset(topic=table, table=table), None, "ann")
        blocked.metastore.update_progress(table, complete_through=NOW - 5 * HOUR)
    reply = blocked.client.get("/ui").text
    assert len(names(reply)) == 10
    assert names(reply)[:2] == ["LakeTableBlocked", "LakeCheckFailed"]
    assert "And 13 more: " in reply
    for path in ("/ui?q=late", "/ui?trouble=late", "/ui?status=BLOCKED", "/ui?domain=default"):
        filtered = get(blocked, path)
        assert "Alerts that fire" not in filtered.text, "who filters looks for something else"
        assert "23 alerts fire, 2 critical" in filtered.text
        assert "/ui#alerts" in filtered.links


def test_nothing_fires(stack: Stack) -> None:
    page = get(stack, "/ui")
    assert "0 alerts fire" in page.text
    assert "Alerts that fire" not in page.text

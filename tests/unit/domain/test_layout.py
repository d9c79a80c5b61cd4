"""Names and keys: nothing leaves its folder."""

from __future__ import annotations

import pytest

from lake_platform.domain import layout
from lake_platform.errors import InvalidFieldError

BAD_NAMES = [
    "", ".", "..", "../x", "a/b", "..%2f", "a%2fb", "a\x00", "a\n", "a\r\nb", "'; DROP TABLE",
    "a`b", "a b", "x" * 250, "\uff54able", "t\u0430ble", "a\\b", "a:b", "~", "$HOME", "*",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        layout.check_name("table", name)
    assert caught.value.field == "table"


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", ".hidden", "-"])
def test_good_names(name: str) -> None:
    assert layout.check_name("table", name) == name


def test_keys() -> None:
    key = layout.raw_key("topic", "t", "2026-11-24-03:00", 7, 10, 20, "abc")
    assert key == "raw/topic/2026/11/24/03/t-p7-10-20-abc.json.gz"
    assert (
        layout.quarantine_key("t", "2026-11-24-03:00", "1")
        == "quarantine/t/2026/11/24/03/1.json.gz"
    )
    assert layout.seq_name(7) == "0" * 19 + "7"


def test_prefixes_of_two_tables_do_not_overlap() -> None:
    makers = (
        layout.raw_log_prefix, layout.raw_log_snapshot_prefix, layout.claim_prefix,
        layout.batch_log_prefix, layout.table_prefix, layout.quarantine_prefix, layout.raw_prefix,
    )  # fmt: skip
    for make in makers:
        assert make("a").endswith("/")
        assert not make("ab").startswith(make("a"))

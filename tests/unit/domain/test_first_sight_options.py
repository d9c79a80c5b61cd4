"""Options of a dataset on how its first schema is made."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError


@pytest.mark.parametrize(
    ("field", "bad", "remedy"),
    [
        ("names", "upper", "keep or lower"),
        ("case_twins", "both", "merge or split or rescue"),
        ("maps", True, "auto or off"),
        ("mixed_scalars", "", "string or json"),
        ("single_or_array", None, "wrap or json"),
        ("max_columns", 0, "1 to 10000"),
        ("max_columns", 10_001, "1 to 10000"),
        ("max_columns", 1.5, "1 to 10000"),
        ("max_depth", 0, "1 to 40"),
        ("max_depth", 41, "1 to 40"),
        ("max_object_keys", -1, "0 to 10000"),
        ("max_new_keys", 10_001, "0 to 10000"),
        ("max_new_keys", True, "0 to 10000"),
    ],
)
def test_bad_values_are_refused(field: str, bad: Any, remedy: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        Dataset(topic="t", table="t", **{field: bad})
    assert (caught.value.field, caught.value.value) == (field, bad)
    assert remedy in str(caught.value)

"""Source paths of columns behind SQL steps."""

from __future__ import annotations

import pytest

from lake_platform.trial.lineage import origins, source_of

_ROOTS = ("id", "Name", "after", "items")


@pytest.mark.parametrize(
    ("steps", "sources"),
    [
        (["SELECT * FROM input"], {"id": "id", "Name": "Name", "after.city": "after.city"}),
        (["SELECT id AS k, lower(name) AS n FROM input"], {"k": "id", "n": "Name", "id": None}),
        (["SELECT after.city, input.id FROM input"], {"city": "after.city", "id": "id"}),
        (["SELECT after AS a, items FROM input"],
         {"a.city": "after.city", "items[].sku": "items[].sku"}),
        (["SELECT concat(id, name, id) AS c, 1 AS one FROM input"],
         {"c": "id, Name", "one": None}),
        (["SELECT from_json(name, 'x INT') AS p FROM input"], {"p": "Name", "p.x": None}),
        (["SELECT *, id + 1 AS next FROM input", "SELECT next AS n, after.city FROM input"],
         {"n": "id", "city": "after.city"}),
        (["SELECT after.* FROM input"], {"city": None}),
        (["SELECT * EXCEPT (id) FROM input"], {"Name": None}),
        (["SELECT x.id FROM (SELECT id FROM input) x"], {"id": None}),
    ],
)  # fmt: skip
def test_source(steps: list[str], sources: dict[str, str | None]) -> None:
    known = origins(steps, _ROOTS)
    assert {column: source_of(column, known) for column in sources} == sources

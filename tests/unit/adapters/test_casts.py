"""Which columns of a table have casts that can be counted, as the text of the steps tells."""

from __future__ import annotations

import pytest

from lake_platform.adapters.spark.carry import carry, lost_columns
from lake_platform.adapters.spark.casts import Held
from lake_platform.adapters.spark.registration import check_rules
from lake_platform.domain.casts import Lost, lost_lines, summed
from lake_platform.domain.dataset import Dataset, Rule
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError


def dataset(*steps: str, rule: Rule | None = None) -> Dataset:
    transforms = tuple(Transform(sql=sql) for sql in steps)
    rules = (rule,) if rule else ()
    return Dataset(topic="t", table="t", format="parquet", transforms=transforms, rules=rules)


@pytest.mark.parametrize(
    ("steps", "counted"),
    [
        (["SELECT a, CAST(b AS INT) AS b, to_date(`c d`) d FROM input"], {"b", "d"}),
        (["SELECT CAST(b AS INT) FROM input"], {"b"}),
        (["SELECT CAST(b AS STRING) AS b, `cast`.x AS c, date FROM input"], set()),
        (["SELECT a FROM input WHERE CAST(b AS INT) > 1"], set()),
        (["SELECT CAST(b AS INT) AS B, a FROM input", "SELECT b AS c, b + 1 AS d FROM input"],
         {"c", "d"}),
        (["SELECT CAST(b AS INT) AS b, a FROM input", "SELECT a FROM input"], set()),
        (["SELECT i.*, CAST(i.b AS INT) AS c FROM input i", "SELECT * FROM input"], {"c"}),
        # What cannot be told: a star that would see more than was typed, a value for want of one.
        (["SELECT CAST(b AS INT) AS c, to_json(struct(*)) AS j FROM input"], set()),
        (["SELECT CAST(b AS INT) AS c FROM input", "SELECT c, hash(input.*) AS h FROM input"],
         set()),
        (["SELECT CASE WHEN CAST(b AS INT) > 0 THEN raise_error('x') END AS c FROM input"], set()),
        (["SELECT transform(xs, x -> coalesce(CAST(x AS INT), 0)) AS c FROM input",
          "SELECT c AS d, CAST(b AS INT) AS e FROM input"], {"e"}),
        (["SELECT CAST(b AS INT) AS c, c + 1 AS d FROM input"], {"c"}),
        (["SELECT CAST(b AS INT) AS b, CAST(b AS DATE) AS d FROM input"], {"b", "d"}),
    ],
)  # fmt: skip
def test_columns_with_casts(steps: list[str], counted: set[str]) -> None:
    assert set(lost_columns(dataset(*steps)).flags) == counted


def test_what_was_typed_stays_as_it_is() -> None:
    text, held = carry("SELECT CAST(b /* so */ AS INT) AS c FROM input", ["_k"], casts=Held())
    assert text == (
        "SELECT CAST(b /* so */ AS INT) AS c , `_k`, CASE WHEN ((b) IS NOT NULL AND "
        "(CAST(b /* so */ AS INT)) IS NULL) THEN left(CAST((b) AS STRING), 200) END AS "
        "`_lake_cast_0` FROM input"
    )
    assert held.flags == {"c": "_lake_cast_0"}


@pytest.mark.parametrize(
    ("steps", "why"),
    [([], "no step makes it"), (["SELECT b FROM input"], "no column of the last step with a cast")],
)
def test_a_rule_where_nothing_is_counted_is_refused(steps: list[str], why: str) -> None:
    with pytest.raises(InvalidFieldError, match=why):
        check_rules(dataset(*steps, rule=Rule(column="b", cast=True)))


def test_the_refusal_names_the_columns_that_are_counted() -> None:
    step = "SELECT CAST(b AS INT) AS c FROM input"
    with pytest.raises(InvalidFieldError, match="name one of: c"):
        check_rules(dataset(step, rule=Rule(column="b", cast=True)))
    check_rules(dataset(step, rule=Rule(column="C", cast=True)))


def test_batches_add_up_and_say_so() -> None:
    first = {"partition": 0, "offset": 7, "value": "n/a"}
    found = summed({"a": Lost(3, 0), "b": Lost(3, 0)}, {"a": Lost(7, 2, first)})
    assert found == {"a": Lost(10, 2, first), "b": Lost(3, 0)}
    assert lost_lines(found) == [
        "a cast made NULL of a value of a in 2 of 10 rows (20.0%), first of 'n/a' at p0/7"
    ]
    assert found["a"].to_dict() == {"rows": 10, "lost": 2, "share": 0.2, "first": first}

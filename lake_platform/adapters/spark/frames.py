"""Steps that are code over a whole DataFrame, held to what SQL steps are: at most one row of each
record, made of that record alone, the same each time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.functions import AGAIN, CHANGING
from lake_platform.adapters.spark.step_code import FrameFunction
from lake_platform.domain.names import is_ours
from lake_platform.domain.own_columns import PLACE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RECORD = "_lake_record"
"""The column by which a row is known to be of its record; a step must keep it."""
_KEEP = f'keep it, as in frame.select("{RECORD}", ...)'
# Nodes of Spark's plan that leave at most one row of each.
_ROW_BY_ROW = frozenset([
    "Project", "Filter", "SubqueryAlias", "View", "Repartition", "RepartitionByExpression",
    "RebalancePartitions", "ResolvedHint", "Sort", "TypedFilter", "MapElements",
    "DeserializeToObject", "SerializeFromObject",
])  # fmt: skip
# What cannot be looked into; rows are counted before anything is written.
_CLOSED = frozenset(["MapPartitions", "MapInPandas", "PythonMapInArrow", "MapInArrow"])
_AGAIN = re.compile(rf"(?<![\w.])({'|'.join(CHANGING)})\(", re.IGNORECASE)


class FrameError(Exception):
    """A step gives what no step may give."""


def run_function(
    function: FrameFunction,
    frame: DataFrame,
    technical: Sequence[str],
    typed: Callable[[DataFrame], DataFrame],
) -> DataFrame:
    """What `function` makes of `frame`, with its `technical` columns as they were. `typed` raises
    where a column has a type that Python has no name for.

    Raises: FrameError; whatever the function and `typed` raise.
    """
    from pyspark.sql import DataFrame as Classic
    from pyspark.sql import functions as F

    packed = F.struct(*[F.col(f"`{c}`") for c in technical]).alias(RECORD)
    hidden = [c for c in technical if c.startswith("_lake_")]
    given = frame.select(*[F.col(_quoted(c)) for c in frame.columns if c not in hidden], packed)
    made: Any = function(given)
    if not isinstance(made, Classic) and type(made) is not type(given):
        raise FrameError(f"gives a {type(made).__name__}, not a DataFrame")
    _check_columns(given, typed(made), technical)
    _check_plan(given, made)
    own = [c for c in made.columns if c not in technical and c != RECORD]
    record = F.col(RECORD)
    return made.select(
        *[F.col(_quoted(c)) for c in own], *[record.getField(c).alias(c) for c in technical]
    )


def _check_columns(given: DataFrame, made: DataFrame, technical: Sequence[str]) -> None:
    names = list(made.columns)
    if names.count(RECORD) != 1:
        raise FrameError(f"gives no column {RECORD}, by which rows are known; {_KEEP}")
    if made.schema[RECORD].dataType.simpleString() != given.schema[RECORD].dataType.simpleString():
        raise FrameError(f"changes column {RECORD}, by which rows are known; {_KEEP}")
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.casefold(), name)
        if names.count(name) > 1 or twin != name:
            raise FrameError(f"gives columns {twin} and {name}; case does not count")
        if is_ours(name) and name != RECORD and name not in technical:
            raise FrameError(
                f"makes a column {name}, and _rescued, _raw and names with _kafka_, _hoodie_ and "
                f"_lake_ are ours; choose another name"
            )


def _check_plan(given: DataFrame, made: DataFrame) -> None:
    """A classic session shows what is done; through Spark Connect the count of rows must do."""
    if not hasattr(made, "_jdf"):
        return
    base = given._jdf.queryExecution().analyzed()
    for node in _nodes(base, made._jdf.queryExecution().analyzed()):
        name = str(node.nodeName())
        if name == "Generate":
            raise FrameError(
                "makes many rows of one record; name the array in the dataset's field explode"
            )
        if name not in _ROW_BY_ROW | _CLOSED or node.subqueries().nonEmpty():
            raise FrameError(
                f"has a {name}, which looks at other records than a row's own; a step works row by "
                f"row, so that a re-run gives the same rows"
            )
        changing = _AGAIN.search(str(node.expressions().mkString(" ")))
        if changing or not node.deterministic():
            what = f"calls {changing[1]}, which" if changing else "calls something that"
            raise FrameError(f"{what} {AGAIN}")


def _nodes(base: Any, top: Any) -> Iterator[Any]:
    """From the result down to what the step was given. Raises: FrameError."""
    node = top
    while not node.fastEquals(base):
        children = node.children()
        if children.size() == 0:
            raise FrameError(
                f"reads something else than it was given ({node.nodeName()}); make the result of "
                f"the frame itself"
            )
        yield node
        if children.size() > 1:
            raise FrameError(f"has a {node.nodeName()}, which looks at other records")
        node = children.apply(0)


def doubled(frame: DataFrame, key: Sequence[str]) -> tuple[int, int] | None:
    """Partition and offset of the first record that has more than one row, or a row whose record
    is not known (-1, -1)."""
    from pyspark.sql import functions as F

    columns = [F.col(c) for c in key]
    found = (
        frame.groupBy(*columns).agg(F.count(F.lit(1)).alias("n"))
        .where((F.col("n") > 1) | F.col(PLACE[0]).isNull() | F.col(PLACE[1]).isNull())
        .agg(F.min(F.struct(F.coalesce(PLACE[1], F.lit(-1)), F.coalesce(PLACE[0], F.lit(-1)))
             .alias("place")).alias("first"))
        .first()
    )  # fmt: skip
    first = found["first"] if found else None
    return None if first is None else (int(first[1]), int(first[0]))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"

"""Functions a step may not call, by what is wrong with them. The names are those of Spark 3.5's own
registry; tests/integration/test_step_functions.py holds the lists against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import TokenType

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

_CHANGING = (
    "uuid rand randn random shuffle monotonically_increasing_id spark_partition_id "
    "input_file_name input_file_block_start input_file_block_length now curdate current_date "
    "current_timestamp localtimestamp current_user user session_user current_catalog "
    "current_database current_schema version aes_encrypt"
)
_ROW_MAKERS = (
    "explode explode_outer posexplode posexplode_outer inline inline_outer stack json_tuple window"
)
_WINDOWS = (
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead nth_value session_window"
)
_AGGREGATES = (
    "any any_value approx_count_distinct approx_percentile array_agg avg bit_and bit_or bit_xor "
    "bitmap_construct_agg bitmap_or_agg bool_and bool_or collect_list collect_set corr count "
    "count_if count_min_sketch covar_pop covar_samp every first first_value grouping grouping_id "
    "histogram_numeric hll_sketch_agg hll_union_agg kurtosis last last_value max max_by mean "
    "median min min_by mode percentile percentile_approx percentile_cont percentile_disc regr_avgx "
    "regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy skewness "
    "some std stddev stddev_pop stddev_samp sum try_avg try_sum var_pop var_samp variance"
)
_JAVA = "reflect try_reflect java_method"
AGAIN = (
    "gives another result each time, so a replay would change the rows; use the record's own: "
    "_kafka_timestamp, _kafka_partition, _kafka_offset, _kafka_key"
)
_AGAIN = (
    AGAIN,
    "as a key, concat_ws('-', _kafka_partition, _kafka_offset) names the record",
)
_REFUSED: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(_CHANGING.split(), _AGAIN),
    **dict.fromkeys(
        _ROW_MAKERS.split(),
        ("makes many rows (or columns) of one record", "name the array in the dataset's field "
         "explode; for columns of a JSON text use from_json or get_json_object"),
    ),
    **dict.fromkeys(
        _WINDOWS.split(),
        ("looks at other records of the batch", "a step works row by row, so that a re-run gives "
         "the same rows"),
    ),
    **dict.fromkeys(
        _AGGREGATES.split(),
        ("is an aggregate, which mixes records of a batch", "work row by row; within an array use "
         "aggregate(), array_max(), size() and their like"),
    ),
    **dict.fromkeys(
        _JAVA.split(), ("runs code of the JVM", "a step may not run code outside of Spark SQL")
    ),
}  # fmt: skip
# Without an argument they are the time of the run.
_NOW_WHEN_EMPTY = frozenset(["unix_timestamp", "to_unix_timestamp"])
# These are called without brackets, too. `user` may be a column, so the engine's look decides.
_BARE = frozenset(["current_date", "current_timestamp", "localtimestamp"])
_BARE_KINDS = frozenset([TokenType.VAR, TokenType.CURRENT_DATE, TokenType.CURRENT_TIMESTAMP])
_SPECIAL_DATE = re.compile(r"\s*(now|today|tomorrow|yesterday)\b.*", re.IGNORECASE | re.DOTALL)
_QUANTIFIED = frozenset([TokenType.LIKE, TokenType.ILIKE, TokenType.RLIKE])


CHANGING = tuple(_CHANGING.split())


def refused_calls(tokens: Sequence[Token]) -> Iterator[tuple[str, str, str]]:
    """Name, what is wrong with it, and the remedy, for each call that a step may not make."""
    kinds = [*(t.token_type for t in tokens), None, None]
    for at, token in enumerate(tokens):
        name = token.text.casefold()
        before = kinds[at - 1] if at else None
        behind = kinds[at + 1 : at + 3]
        if behind[0] == TokenType.L_PAREN:
            if before in _QUANTIFIED or token.token_type == TokenType.STRING:
                continue  # LIKE ANY (...)
            if name in _NOW_WHEN_EMPTY and behind[1] == TokenType.R_PAREN:
                yield name, *_AGAIN
            elif name in _REFUSED:
                yield name, *_REFUSED[name]
        elif name in _BARE and token.token_type in _BARE_KINDS and not _is_name(before):
            yield name, _AGAIN[0], f"a column of this name: put it into backticks, `{name}`"


def is_special_date(text: str) -> bool:
    """What Spark reads as a date of the run: 'now', 'today', 'tomorrow UTC', 'yesterday'."""
    return _SPECIAL_DATE.fullmatch(text) is not None


def is_refused(name: str) -> bool:
    return name in _REFUSED


def is_known(name: str) -> bool:
    """Whether SQL has a function of this name, as far as its parser knows."""
    from sqlglot import exp

    return is_refused(name.casefold()) or name.upper() in exp.FUNCTION_BY_NAME


def _is_name(before: TokenType | None) -> bool:
    return before in {TokenType.ALIAS, TokenType.DOT}

"""The functions and aggregations that are compiled, and those that Prometheus calls experimental."""

from collections.abc import Iterator
from typing import Final

from rules.promql.tree import Aggregate, Binary, Call, Tree, walk

AGGREGATIONS: Final = frozenset(
    "sum avg min max count group stddev stdvar topk bottomk quantile count_values limitk limit_ratio".split()  # noqa: SIM905 - a list of words
)
RANGE_FUNCTIONS: Final = frozenset(
    "rate increase delta irate idelta deriv predict_linear double_exponential_smoothing changes resets absent_over_time"  # noqa: SIM905
    " present_over_time avg_over_time min_over_time max_over_time sum_over_time count_over_time first_over_time"
    " last_over_time stddev_over_time stdvar_over_time quantile_over_time mad_over_time ts_of_first_over_time"
    " ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time integral".split()
)
DATES: Final = frozenset(
    "minute hour day_of_week day_of_month day_of_year days_in_month month year".split()  # noqa: SIM905
)
ELEMENTWISE: Final = frozenset(
    "abs ceil floor exp ln log2 log10 sqrt sgn sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh rad deg".split()  # noqa: SIM905
)
HISTOGRAMS: Final = frozenset({"histogram_quantile", "histogram_fraction", "histogram_quantiles"})
"""Of classic histograms: series with `le`."""
NATIVE_ONLY: Final = frozenset(
    {"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"}
)
"""Functions that read nothing but native histograms."""
FUNCTIONS: Final = (
    RANGE_FUNCTIONS
    | DATES
    | ELEMENTWISE
    | HISTOGRAMS
    | frozenset(
        "absent time vector scalar pi round clamp clamp_min clamp_max timestamp label_replace label_join sort sort_desc"  # noqa: SIM905
        " sort_by_label sort_by_label_desc info start end range step max_of min_of".split()
    )
)
EXPERIMENTAL: Final = frozenset(
    "double_exponential_smoothing info mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time"  # noqa: SIM905
    " ts_of_min_over_time sort_by_label sort_by_label_desc histogram_quantiles start end range step max_of min_of"
    " limitk limit_ratio integral".split()
)
"""What Prometheus 3 evaluates with `--enable-feature=promql-experimental-functions` alone."""


def experimental(tree: Tree) -> Iterator[str]:
    """Every experimental function, aggregation and modifier in an expression, by name."""
    for each in walk(tree):
        match each:
            case Call() if each.function in EXPERIMENTAL:
                yield f"{each.function}()"
            case Aggregate() if each.op in EXPERIMENTAL:
                yield each.op
            case Binary() if each.matching.fill_left is not None or each.matching.fill_right is not None:
                yield "fill"

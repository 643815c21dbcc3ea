"""What random expressions are made of."""

from typing import Final

MATCHERS: Final = (
    "",
    "",
    '{node="n1"}',
    '{node!="n1"}',
    '{node=~"n[12]"}',
    '{gpu!~"0|1"}',
    '{gpu="1",node=~"n.*"}',
    '{node="nope"}',
    '{rack=""}',
    '{job="dcgm",gpu=~"[01]"}',
)
NAMES: Final = ("m", "m", "c", "c", "w", "u", "up", "info", "h_bucket", "huge", "when", "odd", "target_info")
PATTERNS: Final = (
    '{__name__=~"m|c"}',
    '{__name__=~"m|w",gpu="0"}',
    '{__name__!~"h_.*|huge|.*info",gpu="1"}',
    "{node='n1'}",
)
RANGES: Final = ("10s", "20s", "30s", "1m", "2m", "47s", "3m")
OVER_TIME: Final = tuple(
    "rate increase delta irate idelta deriv changes resets avg_over_time min_over_time max_over_time sum_over_time"
    " count_over_time last_over_time first_over_time present_over_time stddev_over_time stdvar_over_time absent_over_time"
    " mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time".split()
)
GROUPINGS: Final = (
    "",
    " by (node)",
    " by (node, gpu)",
    " without (gpu)",
    " by (rack)",
    " without (node, gpu, instance)",
    " by ()",
    " by (__name__, node)",
    " without ()",
    ' by ("a.b", le)',
)
EXACT: Final = tuple(
    "abs({0})|ceil({0})|floor({0})|round({0})|round({0}, 0.5)|round({0}, {s})|clamp({0}, 1, 10)|clamp_min({0}, {s})"
    "|clamp_max({0}, 3)|sgn({0})|sqrt({0})|timestamp({0})|absent({0})|-({0})|+({0})|vector(scalar({0}))|clamp({0}, 5, 1)"
    '|sort({0})|sort_desc({0})|sort_by_label({0}, "node", "gpu")|sort_by_label_desc({0}, "node")|hour({0})|minute({0})'
    "|month({0})|year({0})|day_of_week({0})|day_of_month({0})|day_of_year({0})|days_in_month({0})|({0})"
    '|info({0})|info({0}, {rack=~".+"})|info({0}, {__name__=~".+_info", revision=~".*1.*"})'
    '|info({0}, {__name__="build_info", revision!=""})'.split("|")
)
LIBRARY: Final = tuple("exp ln log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh rad deg".split())
"""Functions whose last bit belongs to the mathematical library: never below anything that jumps."""
LABELS: Final = (
    'label_replace({0}, "host", "h-$1", "node", "n(.)")',
    'label_replace({0}, "gpu", "", "gpu", "1")',
    'label_replace({0}, "node", "same", "node", ".*")',
    'label_replace({0}, "node", "${x}-$2", "node", "(?P<x>n)(.*)")',
    'label_replace({0}, "__name__", "renamed", "__name__", "(.*)")',
    'label_join({0}, "both", "/", "node", "gpu")',
    'label_join({0}, "node", "-", "gpu")',
    'label_join({0}, "none", "-")',
)
MATCHINGS: Final = (
    "",
    " on (node)",
    " on (node, gpu)",
    " ignoring (gpu)",
    " ignoring (job, instance, rack)",
    " on ()",
    " on (node) group_left ()",
    " on (node) group_right ()",
    " on (node) group_left (rack)",
    " on (node) group_right (rack, job)",
    " ignoring (gpu, rack, job, instance) group_left ()",
    " on (__name__)",
    " on (node, gpu) fill (0)",
    " on (node) group_left () fill_right (-1)",
    " on (node) group_right (rack) fill_left (2)",
    " on (node, gpu) fill_left (1) fill_right (NaN)",
)

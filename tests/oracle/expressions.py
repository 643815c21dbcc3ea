"""Random expressions of the whole language, as trees that can be made smaller while they still fail."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.oracle import words
from tests.oracle.telemetry import START_MS


@dataclass(frozen=True)
class Node:
    """A piece of an expression: `{0}`, `{1}` … stand for the kids."""

    template: str
    kids: tuple["Node", ...] = ()
    kind: str = "vector"

    def __str__(self) -> str:
        text = self.template
        for place, kid in enumerate(self.kids):
            text = text.replace("{" + str(place) + "}", str(kid))
        return text


def smaller(node: Node) -> Iterator[Node]:
    """The same expression with one piece less, the boldest cuts first."""
    yield from (below for below in _below(node) if below.kind == node.kind)
    for place, kid in enumerate(node.kids):
        for less in smaller(kid):
            yield replace(node, kids=(*node.kids[:place], less, *node.kids[place + 1 :]))
    if node.kind == "vector" and node.template not in {"m", "c"}:
        yield from (Node("m"), Node("c"))


def _below(node: Node) -> Iterator[Node]:
    for kid in node.kids:
        yield kid
        yield from _below(kid)


class Writer:
    """Draws expressions from one source of chance."""

    def __init__(self, rng: random.Random, *, future: bool, first_ms: int) -> None:
        """With `future` selectors may look ahead of the evaluation; `@` never looks ahead of `first_ms` otherwise."""
        self.rng, self._future, self._first_ms = rng, future, first_ms

    def any(self) -> Node:
        """An expression of any type."""
        roll = self.rng.random()
        if roll < 0.03:
            return self.scalar(2)
        if roll < 0.05:
            return Node(f"{self.selector()}[{self._one(words.RANGES)}]", kind="matrix")
        if roll < 0.07:
            return self.subquery(1)
        if roll < 0.08:
            return Node(self._one(('"text"', "'a\\'b'")), kind="string")
        return self.vector(self.rng.choice((1, 2, 2, 3, 3, 4)), smooth=True)

    def _one(self, choices: Sequence[str]) -> str:
        return self.rng.choice(choices)

    def modifiers(self) -> str:
        """`offset` and `@`, or mostly nothing."""
        roll, text = self.rng.random(), ""
        if roll < 0.1:
            last = START_MS + 400_000 if self._future else self._first_ms
            moment = self.rng.randrange(START_MS - 20_000, last) / 1000
            text += f" @ {moment:.3f}"
        elif roll < 0.14:
            text += self._one((" @ start()", " @ end()"))
        if self.rng.random() < 0.15:
            offsets = ("5s", "12s", "1m", "200ms", *(("-5s", "-1m", "-13s") if self._future else ()))
            text += f" offset {self._one(offsets)}"
        return text

    def selector(self, names: Sequence[str] = words.NAMES) -> str:
        """A metric, or a pattern of several."""
        if self.rng.random() < 0.04:
            return self._one(words.PATTERNS)
        return self._one(names) + self._one(words.MATCHERS)

    def scalar(self, depth: int = 0) -> Node:
        """A number, or something that yields one."""
        plain = "1 2 0 -1.5 0.5 3 NaN Inf -Inf time() pi() 1e3 0x1f step() range() start() end()".split()
        if not depth or self.rng.random() < 0.6:
            return Node(self._one((*plain, "scalar(up{node='n1'})", "(2 + 3)")), kind="scalar")
        forms = (
            "({0} + {1})",
            "({0} * {1})",
            "({0} == bool {1})",
            "max_of({0}, {1})",
            "min_of({0}, {1})",
            "({0} % {1})",
            "-({0})",
        )
        return Node(self._one(forms), (self.scalar(depth - 1), self.scalar(depth - 1)), "scalar")

    def ranged(self, depth: int) -> Node:
        """What a function over time reads."""
        if depth and self.rng.random() < 0.3:
            return self.subquery(depth - 1)
        names = ("c", "c", "m", "w", "u", "h_count", "huge", "up")
        return Node(f"{self.selector(names)}[{self._one(words.RANGES)}]{self.modifiers()}", kind="matrix")

    def subquery(self, depth: int) -> Node:
        """A subquery, with or without a step."""
        step = self._one(("5s", "10s", "7s", "30s", "1s", ""))
        span = self._one(("20s", "30s", "1m", "45s")) if step else "2m"
        return Node("({0})" + f"[{span}:{step}]{self.modifiers()}", (self.vector(depth, smooth=False),), "matrix")

    def over_time(self, depth: int) -> Node:
        """A function over time."""
        roll = self.rng.random()
        if roll < 0.07:
            return Node("quantile_over_time({1}, {0})", (self.ranged(depth), self.scalar(1)))
        if roll < 0.13:
            return Node("predict_linear({0}, {1})", (self.ranged(depth), self.scalar(1)))
        if roll < 0.19:
            factors = self._one(("0.5, 0.1", "0.01, 0.9", "0.3, 0.3", "1, 0.5", "0.5, 0"))
            return Node("double_exponential_smoothing({0}, " + factors + ")", (self.ranged(depth),))
        return Node(self._one(words.OVER_TIME) + "({0})", (self.ranged(depth),))

    def histogram(self) -> Node:
        """A function of classic histograms."""
        inner = self._one(
            (
                "h_bucket",
                "rate(h_bucket[1m])",
                "sum by (le) (h_bucket)",
                "sum by (le, node) (rate(h_bucket[2m]))",
                "h_bucket{le!='+Inf'}",
                "h_bucket{le=~'.*5|[+]Inf'}",
                "label_replace(h_bucket, 'le', '1.0', 'le', '0.5')",
            )
        )
        form = self._one(
            (
                "histogram_quantile({1}, {0})",
                "histogram_quantile(0.9, {0})",
                "histogram_fraction({1}, 2, {0})",
                "histogram_fraction(0, {1}, {0})",
                'histogram_quantiles({0}, "q", 0.5, {1})',
                "histogram_fraction(-1, 0.3, {0})",
            )
        )
        if "1.0" in inner and "quantiles" in form:  # Prometheus's second quantile sees the first one's leftovers
            form = "histogram_quantile({1}, {0})"
        return Node(form, (Node(inner), self.scalar(1)))

    def vector(self, depth: int, *, smooth: bool) -> Node:
        """An instant vector; `smooth` where nothing above it jumps."""
        if depth <= 0:
            roll = self.rng.random()
            if roll < 0.65:
                return Node(self.selector() + self.modifiers())
            return self.over_time(0)
        kinds = (
            self._leaf,
            self._ranged,
            self._aggregate,
            self._aggregate,
            self._with_scalar,
            self._compared,
            self._joined,
        )
        kinds += (self._joined, self._set, self._called, self._called, self._labelled, self._chosen)
        return self.rng.choice(kinds)(self.rng.randrange(depth), smooth)

    def _leaf(self, _: int, __: bool) -> Node:
        return self.histogram() if self.rng.random() < 0.4 else Node(self.selector() + self.modifiers())

    def _ranged(self, depth: int, _: bool) -> Node:
        return self.over_time(depth + 1)

    def _aggregate(self, depth: int, smooth: bool) -> Node:
        op = self._one(("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"))
        inner = self.vector(depth, smooth=smooth)
        if op == "quantile":
            # over what `@` pins Prometheus takes the parameter of the first step at every step
            rank = Node("0.3", kind="scalar") if "@" in str(inner) else self.scalar(1)
            return Node(f"quantile{self._one(words.GROUPINGS)} ({{1}}, {{0}})", (inner, rank))
        return Node(f"{op}{self._one(words.GROUPINGS)} ({{0}})", (inner,))

    def _chosen(self, depth: int, _: bool) -> Node:
        op = self._one(("topk", "bottomk", "topk", "bottomk", "limitk", "limit_ratio", "count_values"))
        if op == "count_values":
            label = self._one(("value", "node", "__name__"))
            inner = self.vector(depth, smooth=False)
            return Node(f'count_values{self._one(words.GROUPINGS)} ("{label}", {{0}})', (inner,))
        share = ("0.5", "-0.3", "1", "-1", "0", "2", "NaN")
        many = ("1", "2", "3", "2.9", "0", "-1", "7", "NaN", "Inf", "scalar(count(up) or vector(1))")
        form = f"{op}{self._one(words.GROUPINGS)} ({self._one(share if op == 'limit_ratio' else many)}, {{0}})"
        if op == "limit_ratio":
            return Node(form, (self.vector(depth, smooth=False),))
        # which of equals stays is a matter of order, and that is Prometheus's for selectors alone
        inner = Node(self.selector() + ("" if "scalar" in form else self.modifiers()), kind="ordered")
        return Node(form, (inner,))

    def _with_scalar(self, depth: int, smooth: bool) -> Node:
        library = ("^", "atan2") if smooth else ()
        op = self._one(("+", "-", "*", "/", "%", *library))
        form = self._one((f"({{0}} {op} {{1}})", f"({{1}} {op} {{0}})"))
        return Node(form, (self.vector(depth, smooth=smooth and op != "%"), self.scalar(1)))

    def _compared(self, depth: int, _: bool) -> Node:
        op = self._one((">", "<", "==", "!=", ">=", "<=")) + self._one(("", "", " bool"))
        form = self._one((f"({{0}} {op} {{1}})", f"({{1}} {op} {{0}})"))
        return Node(form, (self.vector(depth, smooth=False), self.scalar(1)))

    def _set(self, depth: int, smooth: bool) -> Node:
        on = self._one(("", "", " on (node)", " on ()", " ignoring (gpu)", " ignoring (rack, job, gpu, instance)"))
        op = self._one(("and", "or", "unless"))
        return Node(f"({{0}} {op}{on} {{1}})", (self.vector(depth, smooth=smooth), self.vector(depth, smooth=smooth)))

    def _joined(self, depth: int, smooth: bool) -> Node:
        op = self._one(
            ("+", "-", "*", "/", ">", "<=", "==", "!= bool", "> bool", *(("atan2", "^") if smooth else ("%",)))
        )
        smooth = smooth and op in {"+", "-", "*", "/", "atan2", "^"}
        matching = self._one(words.MATCHINGS)
        sides = [self.vector(depth, smooth=smooth), self.vector(depth, smooth=smooth)]
        if matching.startswith(" on (node)") and self.rng.random() < 0.7:  # most random sides are many on both
            one = Node(self._one(("info", "up", "sum by (node) (m)", "h_count", "max by (node, rack) (info)")))
            sides[0 if "group_right" in matching else 1] = one
        return Node(f"({{0}} {op}{matching} {{1}})", tuple(sides))

    def _called(self, depth: int, smooth: bool) -> Node:
        if smooth and self.rng.random() < 0.3:
            return Node(self._one(words.LIBRARY) + "({0})", (self.vector(depth, smooth=True),))
        form = self._one(words.EXACT)
        if self.rng.random() < 0.03:
            return Node(
                self._one(("hour()", "day_of_week()", "vector({0})", "absent(nope)", "vector(time())")),
                (self.scalar(),),
            )
        if "{s}" in form:
            return Node(form.replace("{s}", "{1}"), (self.vector(depth, smooth=False), self.scalar(1)))
        return Node(form, (self.vector(depth, smooth=False),))

    def _labelled(self, depth: int, smooth: bool) -> Node:
        return Node(self._one(words.LABELS), (self.vector(depth, smooth=smooth),))

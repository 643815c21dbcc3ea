"""From text to tree: promql-parser reads the grammar, this translates it and refuses what is not compiled."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import promql_parser

from rules.labels import NAME
from rules.promql.errors import ExpressionError
from rules.promql.names import AGGREGATIONS, FUNCTIONS, NATIVE_ONLY
from rules.promql.regex import UnsupportedPattern, compiled
from rules.promql.text import (
    INFO_GUARD,
    plainly_spelled,
    position_of_string,
    position_of_what_is_misread,
    position_of_word,
    with_guarded_info,
)
from rules.promql.tree import (
    Aggregate,
    At,
    Binary,
    Bound,
    Call,
    Card,
    Match,
    Matcher,
    Matching,
    Negate,
    Number,
    Select,
    SelectRange,
    Subquery,
    Text,
    Tree,
    Type,
    type_of,
)

SET_OPERATORS: Final = frozenset({"and", "or", "unless"})
_CARDS: Final = {
    "OneToOne": Card.ONE_TO_ONE,
    "ManyToOne": Card.MANY_TO_ONE,
    "OneToMany": Card.ONE_TO_MANY,
    "ManyToMany": Card.MANY_TO_MANY,
}
_MATCHES: Final = {"Equal": Match.EQUAL, "NotEqual": Match.NOT_EQUAL, "Re": Match.REGEX, "NotRe": Match.NOT_REGEX}


def parse(expr: str) -> Tree:
    """The tree of an expression. Raises `ExpressionError`."""
    misread = position_of_what_is_misread(expr)
    if misread is not None:
        raise ExpressionError(misread[1], expr=expr, position=misread[0])
    try:
        parsed = promql_parser.parse(with_guarded_info(plainly_spelled(expr)))
    except ValueError as error:
        raise ExpressionError(f"{error}, try promtool check rules for a second opinion", expr=expr) from error
    except BaseException as error:  # a panic of the parser is no Exception: it must not end the service
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ExpressionError(f"the parser gave up: {error}", expr=expr) from error
    return _Translator(expr).tree(parsed)


class _Translator:
    """Knows the text, so that a refusal can say where."""

    def __init__(self, expr: str) -> None:
        self.expr = expr

    def refuse(self, message: str, word: str | None = None) -> ExpressionError:
        return ExpressionError(message, expr=self.expr, position=position_of_word(self.expr, word) if word else None)

    def tree(self, node: Any) -> Tree:
        kind = type(node).__name__
        if kind == "ParenExpr":
            return self.tree(node.expr)
        translate = getattr(self, f"_{kind.lower()}", None)
        if translate is None:
            raise self.refuse(f"{kind} is not supported, try a recording rule for the inner expression")
        result: Tree = translate(node)
        return result

    def _numberliteral(self, node: Any) -> Number:
        return _number(node.val)

    def _stringliteral(self, node: Any) -> Text:
        return Text(str(node.val))

    def _subqueryexpr(self, node: Any) -> Subquery:
        step = None if node.step is None else _milliseconds(node.step)
        return Subquery(self.tree(node.expr), _milliseconds(node.range), step, _milliseconds(node.offset), _at(node.at))

    def _unaryexpr(self, node: Any) -> Tree:
        return Negate(self.tree(node.expr))

    def _vectorselector(self, node: Any) -> Select:
        if node.matchers.or_matchers:
            raise self.refuse("'or' between matchers is not Prometheus's, try a regular expression")
        matchers = [
            Matcher(each.name, _MATCHES[str(each.op).rpartition(".")[2]], each.value)
            for each in node.matchers.matchers
            if each.name != INFO_GUARD
        ]
        name = node.name
        named = [each for each in matchers if each.name == NAME and each.match is Match.EQUAL]
        if name is None and len(named) == 1 and len([each for each in matchers if each.name == NAME]) == 1:
            name = named[0].value
            matchers.remove(named[0])
        for each in matchers:
            self._check_pattern(each)
        return Select(name, tuple(matchers), _milliseconds(node.offset), _at(node.at))

    def _check_pattern(self, matcher: Matcher) -> None:
        if matcher.match in {Match.REGEX, Match.NOT_REGEX}:
            try:
                compiled(matcher.value)
            except UnsupportedPattern as error:
                raise ExpressionError(
                    str(error), expr=self.expr, position=position_of_string(self.expr, matcher.value)
                ) from error

    def _matrixselector(self, node: Any) -> SelectRange:
        return SelectRange(self._vectorselector(node.vector_selector), _milliseconds(node.range))

    def _binaryexpr(self, node: Any) -> Binary:
        op, modifier = str(node.op), node.modifier
        is_set = op in SET_OPERATORS
        matching, bool_modifier = Matching(Card.MANY_TO_MANY if is_set else Card.ONE_TO_ONE), False
        if modifier is not None:
            fill = modifier.fill_values
            bool_modifier = bool(modifier.return_bool)
            matching = Matching(
                card=Card.MANY_TO_MANY if is_set else _CARDS[str(modifier.card).rpartition(".")[2]],
                on=modifier.matching is not None and str(modifier.matching.type).endswith("Include"),
                labels=tuple(modifier.matching.labels) if modifier.matching is not None else (),
                include=tuple(modifier.group_labels or ()),
                fill_left=None if fill is None or fill.lhs is None else _number(fill.lhs),
                fill_right=None if fill is None or fill.rhs is None else _number(fill.rhs),
            )
        return Binary(op, self.tree(node.lhs), self.tree(node.rhs), matching, bool_modifier)

    def _aggregateexpr(self, node: Any) -> Aggregate:
        op, modifier = str(node.op), node.modifier
        if op not in AGGREGATIONS:
            raise self.refuse(f"aggregation {op} is not supported", op)
        parameter = None if node.param is None else self.tree(node.param)
        if parameter is not None and op != "count_values" and type_of(parameter) is not Type.SCALAR:
            raise self.refuse(f"{op} takes a scalar as its parameter", op)
        return Aggregate(
            op,
            self.tree(node.expr),
            parameter,
            tuple(modifier.labels) if modifier is not None else (),
            modifier is not None and str(modifier.type).endswith("Without"),
        )

    def _call(self, node: Any) -> Call:
        name = str(node.func.name)
        if name == "info" and len(node.args) > 1 and node.args[1].name is not None:
            raise self.refuse("info() takes label matchers as its second argument, no metric", name)
        if name in NATIVE_ONLY:
            raise self.refuse(f"{name}() reads native histograms, and only classic ones are supported", name)
        if name not in FUNCTIONS:
            raise self.refuse(f"function {name}() is not supported", name)
        call = Call(name, tuple(self.tree(argument) for argument in node.args))
        if name in {"label_replace", "label_join"}:
            self._check_labels(call)
        return call

    def _check_labels(self, call: Call) -> None:
        texts = [argument.value for argument in call.arguments[1:] if isinstance(argument, Text)]
        if len(texts) != len(call.arguments) - 1:
            raise self.refuse(f"{call.function}() takes string literals", call.function)
        if not texts[0]:
            raise self.refuse(f"invalid destination label name in {call.function}(): it is empty", call.function)
        if call.function == "label_replace":
            try:
                compiled(texts[3])
            except UnsupportedPattern as error:
                raise self.refuse(str(error), call.function) from error
        elif "" in texts[2:]:
            raise self.refuse("invalid source label name in label_join(): it is empty", call.function)


def _number(value: Any) -> Number:
    return Number(float(value), repr(float(value)))


def _at(modifier: Any) -> At | None:
    """What stands behind `@`."""
    if modifier is None:
        return None
    kind = str(modifier.type).rpartition(".")[2]
    if kind == "At":
        since: timedelta = modifier.at - datetime(1970, 1, 1, tzinfo=UTC)
        return _milliseconds(since)
    return Bound.START if kind == "Start" else Bound.END


def _milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else round(duration / timedelta(milliseconds=1))

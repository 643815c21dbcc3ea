"""Expressions with a word too many, too few or out of place: what Prometheus refuses we refuse, what it takes we take."""

import random
import re
from typing import Final

from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.plan import Planner
from tests.oracle.expressions import Writer
from tests.oracle.program import Asked, Oracle
from tests.oracle.telemetry import START_MS

_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_:][\w:]*|\d[\w.]*|[<>=!~]=?~?|.|\n')
_WORDS: Final = (
    *"( ) [ ] { } , by on 5m 1 bool offset @ - sum rate x = =~ group_left ignoring and == 5m:1m inf nan 0m topk".split(),
    '"a"',
    "start()",
)
_LOST: Final = re.compile(r"\+\s*\(*\s*[\w{]")
"""A unary plus before what has no sign: promql-parser drops it unseen."""


def mutated(rng: random.Random, writer: Writer) -> str:
    """A random expression, spoilt in one or two places."""
    tokens: list[str] = _TOKEN.findall(str(writer.any()))
    for _ in range(rng.choice((1, 1, 2))):
        place, roll = rng.randrange(len(tokens)), rng.random()
        if roll < 0.35 and len(tokens) > 1:
            del tokens[place]
        elif roll < 0.6:
            tokens.insert(place, rng.choice(tokens))
        elif roll < 0.8:
            other = rng.randrange(len(tokens))
            tokens[place], tokens[other] = tokens[other], tokens[place]
        else:
            tokens[place] = rng.choice(_WORDS)
    return "".join(tokens)


def differences(oracle: Oracle, count: int, seed: int) -> tuple[list[str], int]:
    """Expressions that one of the two refuses and the other takes, and how many both took."""
    rng = random.Random(seed)
    writer = Writer(rng, future=True, first_ms=START_MS + 60_000)
    texts = [mutated(rng, writer) for _ in range(count)]
    theirs = oracle.ask([], [Asked(text, START_MS) for text in texts])
    found, taken = [], 0
    for text, answer in zip(texts, theirs, strict=True):
        they_take, refusal = answer.error is None or answer.error_class != "parse error", _refusal(text)
        taken += they_take and refusal is None
        if they_take != (refusal is None) and not (refusal is None and _LOST.match(text)):
            found.append(f"seed {seed}: {text}\n  ours   {refusal}\n  theirs {answer.error}")
    return found, taken


def _refusal(text: str) -> str | None:
    try:
        Planner().node(parse(text))
    except ExpressionError as error:
        return str(error)
    return None

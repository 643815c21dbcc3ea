"""Rules of one form in a band: judged together where their series lie alike, and left alone where nothing has changed.

Rules belong to a band when their expressions differ in metrics and numbers alone. Within it those whose selectors take
the same label sets make a deck, which evaluates all of them as one sheet; who is in which deck is found again when
series come, go or move. Whatever does not fit is evaluated alone, as it would be without bands.
"""

from collections.abc import Hashable, Iterable, Sequence
from enum import Enum
from typing import Final, Literal, TypeAlias

import numpy as np

from fleet.errors import HallkeeperError
from rules.alerts.evaluator import AlertEvaluator
from rules.arrays import Bools
from rules.labels import LabelTable
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.sheets.form import form
from rules.promql.sheets.plan import Lie, SheetPlanner
from rules.promql.sheets.sheet import Sheet, SheetNode, same_tables
from rules.promql.tree import Type, type_of
from rules.promql.vector import Vector
from rules.window.window import Window

CELLS: Final = 48 << 10
"""Cells of a sheet: 384 KB of values, so that what an operation leaves is still in the processor's second cache (512 KB
where this was measured) for the next. A default of ours."""


class Nothing(Enum):
    """What a rule's evaluation would find."""

    NEW = "new"


Answer: TypeAlias = Vector | Literal[Nothing.NEW] | None
"""A rule's vector; that it need not be looked at; or None where the rule has to evaluate its own expression."""


class Deck:
    """Some rules whose expressions are evaluated as one sheet."""

    def __init__(self, members: Sequence[tuple[int, AlertEvaluator]], node: SheetNode) -> None:
        """`members` are the rules with their places in the group."""
        self._members = tuple(members)
        self._node = node
        self._labels: tuple[LabelTable, ...] = ()
        self._present: Bools | None = None
        self._seen = b""
        """The elements of the last pass, once more as bytes: comparing them costs a quarter of comparing arrays."""

    @property
    def places(self) -> list[int]:
        """Where its rules are in the group."""
        return [place for place, _ in self._members]

    def answer(self, now: Pass, at_ms: int, answers: list[Answer]) -> None:
        """Put every rule's answer to its place."""
        try:
            sheet = self._node.evaluate(now)
        except (
            HallkeeperError,
            ArithmeticError,
            ValueError,
            IndexError,
            MemoryError,
        ):  # which of the rules it is that fails, each finds out alone
            sheet = None
        if sheet is None:
            self._present = None
            return
        moved = self._moved(sheet)
        for line, (place, rule) in enumerate(self._members):
            if rule.rests_until_ms > at_ms and not (moved is not None and moved[line]):
                answers[place] = Nothing.NEW
            else:
                answers[place] = sheet.line(line)

    def _moved(self, sheet: Sheet) -> list[bool] | None:
        """Which lines have other elements than at the last pass; None where none has."""
        mask, before, labels = sheet.mask(len(self._members)), self._present, self._labels
        self._present, self._labels = mask, sheet.labels
        if before is None or before.shape != mask.shape or not same_tables(labels, sheet.labels):
            self._seen = mask.tobytes()
            return [True] * len(mask)
        if mask is before:
            return None
        seen, self._seen = self._seen, mask.tobytes()
        if seen == self._seen:
            return None
        moved: list[bool] = np.logical_or.reduce(mask != before, axis=1).tolist()
        return moved


class Bands:
    """The decks of one group."""

    def __init__(self, rules: Iterable[tuple[int, AlertEvaluator]], recorded: frozenset[str], planner: Planner) -> None:
        """`rules` with their places in the group; what reads a `recorded` metric must see what the pass itself writes."""
        self._planner = SheetPlanner(planner)
        bands: dict[Hashable, list[tuple[int, AlertEvaluator]]] = {}
        for place, rule in rules:
            tree = rule.rule.tree
            if type_of(tree) is Type.VECTOR and not _reads(rule.node, recorded):
                bands.setdefault((rule.reads_silence, form(tree)), []).append((place, rule))
        self._bands = [band for band in bands.values() if len(band) > 1]
        self._decks: list[tuple[bool, Deck]] = []
        """With whether their rules mean nothing while the bus lags."""
        self._of: tuple[Window, int] | None = None
        """The window and its structure for which the decks hold."""

    def answers(self, now: Pass, at_ms: int, rules: int, *, lagging: bool) -> list[Answer]:
        """What is known of each of the group's rules before they are evaluated one after the other."""
        answers: list[Answer] = [None] * rules
        if self._bands and not now.delays_names:
            self._follow(now)
            for reads_silence, deck in self._decks:
                if not (lagging and reads_silence):
                    deck.answer(now, at_ms, answers)
        return answers

    def _follow(self, now: Pass) -> None:
        """Who is in which deck, where series came, went or moved; decks that stay keep what they know."""
        if self._of is not None and self._of[0] is now.window and self._of[1] == now.window.structure:
            return
        self._of = now.window, now.window.structure
        kept = {tuple(deck.places): deck for _, deck in self._decks}
        self._decks = []
        for band in self._bands:
            for members in self._alike(now, band):
                deck = kept.get(tuple(place for place, _ in members))
                if deck is None:
                    deck = Deck(members, self._planner.node(tuple(rule.rule.tree for _, rule in members)))
                self._decks.append((band[0][1].reads_silence, deck))

    def _alike(
        self, now: Pass, band: Sequence[tuple[int, AlertEvaluator]]
    ) -> Iterable[list[tuple[int, AlertEvaluator]]]:
        """Rules whose series lie alike, as many together as a sheet takes, in the order of their series."""
        alike: dict[Hashable, list[tuple[Lie, tuple[int, AlertEvaluator]]]] = {}
        for member in band:
            lie = self._planner.lie(member[1].rule.tree, now)
            if lie is not None:
                alike.setdefault(lie.key, []).append((lie, member))
        for found in alike.values():
            size = max(CELLS // max(found[0][0].rows, 1), 1)
            members = [member for _, member in sorted(found, key=lambda each: each[0].start)]
            for begin in range(0, len(members), size):
                if len(members[begin : begin + size]) > 1:
                    yield members[begin : begin + size]


def _reads(node: Node, recorded: frozenset[str]) -> bool:
    """Whether it may read one of these metrics."""
    return bool(recorded) and (node.reads is None or bool(node.reads & recorded))

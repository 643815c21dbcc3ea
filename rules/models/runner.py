"""Runs the models whose series somebody reads: inputs out of the window, frames into it and for the bus."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np

from bus.frames import FrameWriter
from bus.port import Message
from fleet.errors import HallkeeperError, Malformed
from rules.group import record
from rules.labels import LabelTable
from rules.models.inputs import Reader, reader_of
from rules.models.kept import decode_kept, encode_kept
from rules.models.port import NOTHING_KEPT, Input, Kept, Model, Output
from rules.promql.errors import EvaluationError
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.vector import Vector
from rules.publication import Publication

FAILURE: Final = "models/"
"""Before a model's name: under this key its failure stands beside those of rules."""


@dataclass(slots=True)
class ModelCost:
    """What one model has cost so far."""

    steps: int = 0
    rows: int = 0
    """Rows of inputs that were looked at."""
    series: int = 0
    """Series that its last step gave."""
    seconds: float = 0.0


class Running:
    """One model with its compiled inputs, what it keeps, and what it has published."""

    def __init__(self, model: Model, planner: Planner) -> None:
        """Raises `ExpressionError` where an input is no PromQL: a fault of the model."""
        self.model = model
        self.cost = ModelCost()
        self.kept: Kept = NOTHING_KEPT
        self._readers: Mapping[str, Reader] = {name: reader_of(expr, planner) for name, expr in model.reads.items()}
        self._publications: dict[tuple[str, tuple[tuple[str, str], ...]], Publication] = {}
        self._next_ms: int | None = None

    def due(self, at_ms: int) -> bool:
        """Whether its interval has passed; a step that lies far ahead means that the clock was set back."""
        return self._next_ms is None or at_ms >= self._next_ms or at_ms < self._next_ms - 2 * self.model.interval_ms

    def adopt(self, other: "Running") -> None:
        """Go on from where the model was before the rules were read again."""
        self.kept, self.cost, self._next_ms = other.kept, other.cost, other._next_ms  # noqa: SLF001 - its own kind
        self._publications = other._publications  # noqa: SLF001

    def step(self, now: Pass, at_ms: int, writer: FrameWriter) -> list[Message]:
        """One step; its frames. Raises `EvaluationError`, and then nothing has changed but that the turn is over."""
        self._next_ms = at_ms + self.model.interval_ms
        inputs: dict[str, Input] = {name: reader.read(now) for name, reader in self._readers.items()}
        gave = self.model.step(at_ms, inputs, self.kept)
        messages = self._published(gave.outputs, at_ms, writer, now)
        self.kept = gave.kept
        self.cost.steps += 1
        self.cost.rows += sum(each.labels.size for each in inputs.values())
        self.cost.series = sum(int(np.count_nonzero(output.present)) for output in gave.outputs)
        return messages

    def _published(self, outputs: Sequence[Output], at_ms: int, writer: FrameWriter, now: Pass) -> list[Message]:
        messages: list[Message] = []
        told = set()
        for output in outputs:
            key = output.name, tuple(sorted(output.constant.items()))
            told.add(key)
            publication = self._publications.get(key)
            if publication is None:
                publication = Publication(f"rules/{self.model.name}", output.name, output.constant)
                self._publications[key] = publication
            vector = publication.named(Vector(output.labels, output.values, output.present))
            messages += publication.messages(vector, at_ms, writer)
        for key in self._publications.keys() - told:  # a step that says nothing of them any more ends them
            gone = Vector(LabelTable(now.window.strings, {}, 0), np.empty(0), np.empty(0, dtype=np.bool_))
            publication = self._publications.pop(key)
            messages += publication.messages(publication.named(gone), at_ms, writer)
        return messages


class Models:
    """The models that run."""

    def __init__(self, models: Iterable[Model], planner: Planner, *, timer: Callable[[], float] = perf_counter) -> None:
        """Of the models those whose series are read by what the planner has compiled, or by a model that runs.

        `timer` measures what they cost, and nothing else. Raises `ExpressionError`.
        """
        self._timer = timer
        waiting = list(models)
        running: list[Running] = []
        while chosen := next((model for model in waiting if _wanted(model, planner)), None):
            waiting.remove(chosen)
            running.insert(0, Running(chosen, planner))  # who is read runs before who reads
        self.running = {each.model.name: each for each in running}

    def adopt(self, other: "Models") -> None:
        """Go on from what ran before."""
        for name, running in self.running.items():
            if name in other.running:
                running.adopt(other.running[name])

    def step(self, now: Pass, at_ms: int, writer: FrameWriter, failures: dict[str, str]) -> list[Message]:
        """Every model whose turn has come; what they publish is in the window at once, and returned for the bus."""
        messages: list[Message] = []
        for running in self.running.values():
            if not running.due(at_ms):
                continue
            key, began = FAILURE + running.model.name, self._timer()
            try:
                made = running.step(now, at_ms, writer)
                failures.pop(key, None)
            except (EvaluationError, HallkeeperError, ArithmeticError, ValueError, LookupError, MemoryError) as error:
                failures[key] = f"{type(error).__name__}: {error}"
                continue
            finally:
                running.cost.seconds += self._timer() - began
            record(now, made, running.model.writes)
            messages += made
        return messages

    def state(self) -> dict[str, bytes]:
        """What every model keeps, by name."""
        return {name: encode_kept(running.kept) for name, running in self.running.items() if running.kept}

    def restore(self, states: Mapping[str, bytes], failures: dict[str, str]) -> None:
        """Go on from `state()`; what is not understood is begun anew and named among the failures."""
        for name, running in self.running.items():
            if name in states:
                try:
                    running.kept = decode_kept(states[name])
                except Malformed as error:
                    failures[FAILURE + name] = str(error)


def _wanted(model: Model, planner: Planner) -> bool:
    return any(planner.needs.of(name) is not None for name in model.writes)

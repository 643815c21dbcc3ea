"""How a case came to its answer: what its subject said at each evaluation up to the time that was asked for."""

from collections.abc import Callable, Iterator
from typing import Final

from fleet.errors import HallkeeperError
from rules.files.durations import duration_text
from rules.testing.model import Case, ExprCase
from rules.testing.notation import Labels, series_text, value_text
from rules.testing.stage import Stage

SHOWN_STEPS: Final = 400
"""Evaluations that are looked back at; a longer test shows its last ones."""
SHOWN_SERIES: Final = 12
SHOWN_SPANS: Final = 8
"""Changes of one series that are shown, the last ones."""

_Track = dict[Labels, list[tuple[int, str]]]


def timeline(staged: Callable[[], Stage], case: Case, interval_ms: int) -> Iterator[str]:
    """One line a series: since when it said what, played anew on a stage of its own."""
    steps = list(range(0, case.eval_ms + 1, interval_ms))
    shown = steps[-SHOWN_STEPS:]
    try:
        stage = staged()
        track: _Track = {}
        for at in steps:
            stage.evaluate(at)
            if at >= shown[0]:
                for labels, text in _states(stage, case, at):
                    track.setdefault(labels, []).append((at, text))
    except HallkeeperError as error:
        yield f"ends early: {error}"
        return
    for labels, said in sorted(track.items())[:SHOWN_SERIES]:
        yield f"{series_text(labels)}: {_spans(said, shown)}"
    if not track:
        yield f"nothing from {_time(shown[0])} to {_time(shown[-1])}"
    elif len(track) > SHOWN_SERIES:
        yield f"and {len(track) - SHOWN_SERIES} more"


def _states(stage: Stage, case: Case, at: int) -> Iterator[tuple[Labels, str]]:
    if isinstance(case, ExprCase):
        for sample in stage.value(case.expr, at):
            yield sample.labels, value_text(sample.value)
    else:
        for labels, _, state in stage.alerts(case.alertname):
            yield labels, str(state)


def _spans(said: list[tuple[int, str]], steps: list[int]) -> str:
    """`0s-4m nothing, 5m-9m pending, 10m firing`."""
    by_time = dict(said)
    spans: list[tuple[int, int, str]] = []
    for at in steps:
        text = by_time.get(at, "nothing")
        if spans and spans[-1][2] == text:
            spans[-1] = (spans[-1][0], at, text)
        else:
            spans.append((at, at, text))
    kept = spans[-SHOWN_SPANS:]
    lead = "… " if len(kept) < len(spans) else ""
    return lead + ", ".join(f"{_range(first, last)} {text}" for first, last, text in kept)


def _range(first: int, last: int) -> str:
    return _time(first) if first == last else f"{_time(first)}-{_time(last)}"


def _time(at_ms: int) -> str:
    return duration_text(at_ms)

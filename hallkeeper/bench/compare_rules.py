"""The expressions of the mix through our engine and through promtool, over the same hard series: values equal bit for bit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hallkeeper.bench import load_rules as load
from hallkeeper.bench.promtool import Answer, Labels, ask
from rules.files.durations import milliseconds
from rules.query import LiveWindow, Query

NODES: Final = 8
SECONDS: Final = 90
HARD: Final = (
    load.Load(seed=1, nodes=NODES, spread=False, reset_share=0.2),
    load.Load(seed=1, nodes=NODES, spread=False, reset_share=1.0),
    load.Load(seed=1, nodes=NODES, spread=False, missing_share=0.01),
)
"""Many more counters start again than in the measured stream, or values are missing."""
AT: Final = ("62s500ms", "81s300ms")
"""Off the boundaries of ranges, where Prometheus 2.42 and 3.x agree."""


def compared(exprs: Sequence[str], seed: int) -> dict[str, object]:
    """How many values were compared, and how many are the same."""
    looked_at = equal = 0
    for hard in HARD:
        checked, same = _compared(exprs, replace(hard, seed=seed))
        looked_at, equal = looked_at + checked, equal + same
    return {"compared": looked_at, "equal": equal, "compared_with": "promtool"}


def _compared(exprs: Sequence[str], stream: load.Load) -> tuple[int, int]:
    window = LiveWindow(depth_seconds=75)
    series = _history(list(load.rounds(stream, SECONDS)), window)
    looked_at = equal = 0
    for at in AT:
        theirs = ask(series, f"{load.INTERVAL_SECONDS}s", exprs, at)
        at_ms = load.START_MS + milliseconds(at)
        for expr in exprs:
            mine = {
                tuple(sorted(each.labels.items())): each.value for each in Query.compile(expr).evaluate(window, at_ms)
            }
            checked, same = _agreement(mine, theirs[expr])
            looked_at, equal = looked_at + checked, equal + same
    return looked_at, equal


def _history(rounds: Sequence[Sequence[bytes]], window: LiveWindow) -> dict[str, str]:
    """Feed the window; the same series in promtool's notation."""
    values: list[dict[str, str]] = []
    reader = LiveWindow(depth_seconds=5)
    for second, messages in enumerate(rounds):
        for message in messages:
            window.append(message)
            reader.append(message)
        if second % load.INTERVAL_SECONDS == 0:
            values.append(_told(reader))
    names = dict.fromkeys(name for told in values for name in told)
    return {name: " ".join(told.get(name, "stale") for told in values) for name in names}


def _told(reader: LiveWindow) -> dict[str, str]:
    """Each series that is there, and its newest value."""
    told = {}
    for name in reader.window.blocks:
        for sample in reader.latest(name, {}):
            labels = ",".join(f'{label}="{text}"' for label, text in sample.labels.items() if label != "__name__")
            told[f"{name}{{{labels}}}"] = repr(sample.value)
    return told


def _agreement(mine: dict[Labels, float], theirs: Answer) -> tuple[int, int]:
    """Values looked at, and those that are equal; an element that only one side has counts as one that differs."""
    if isinstance(theirs, str):
        return len(mine), 0
    keys = mine.keys() | theirs.keys()
    return max(len(keys), 1), sum(mine.get(key) == theirs.get(key) for key in keys) if keys else 1

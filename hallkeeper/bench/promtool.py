"""What real Prometheus makes of expressions, asked through promtool: unit tests that expect nothing, so that it prints all."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fleet.errors import HallkeeperError

Labels = tuple[tuple[str, str], ...]
Answer = dict[Labels, float] | str
"""Values by label set, or an error."""

_FAILED: Final = re.compile(
    r'expr: "((?:[^"\\]|\\.)*)", time: ([^,\n]+),\s*(?:exp: (?:[^\n]*)\n\s*got: ([^\n]*)|err: ([^\n]*))'
)
_SAMPLE: Final = re.compile(
    r'([A-Za-z_:][\w:]*)?(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})? ?([-+]?(?:\d[\d.]*E[-+]\d+|Inf)|NaN)(?:, |$)'
)
_LABEL: Final = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')


class PromtoolAbsent(HallkeeperError):
    """promtool is not installed."""


def ask(
    series: Mapping[str, str], interval: str, expressions: Sequence[str], at: str, *, timeout_seconds: float = 300.0
) -> dict[str, Answer]:
    """Evaluate expressions at a time (`1m2s500ms`) over series in promtool's notation, which begin at time 0.

    Raises `PromtoolAbsent`.
    """
    program = shutil.which("promtool")
    if program is None:
        raise PromtoolAbsent("promtool is not installed, try: make peers")
    test = {
        "evaluation_interval": "500ms",  # samples are only loaded as far as it has stepped
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [{"expr": expr, "eval_time": at, "exp_samples": []} for expr in expressions],
            }
        ],
    }
    with tempfile.TemporaryDirectory(prefix="hallkeeper-promtool-") as folder:
        path = Path(folder) / "ask.yaml"
        path.write_text(json.dumps(test))  # JSON is YAML
        done = subprocess.run(
            [program, "test", "rules", path], capture_output=True, text=True, check=False, timeout=timeout_seconds
        )
    return read_answers(done.stdout + done.stderr, expressions)


def read_answers(output: str, expressions: Sequence[str]) -> dict[str, Answer]:
    """What promtool printed, by expression; one that it did not complain about has no elements."""
    answers: dict[str, Answer] = {expr: {} for expr in expressions}
    for found in _FAILED.finditer(output):
        expr = json.loads(f'"{found[1]}"')
        answers[expr] = found[4] if found[4] is not None else _samples(found[3])
    return answers


def _samples(text: str) -> dict[Labels, float]:
    samples: dict[Labels, float] = {}
    for found in _SAMPLE.finditer(text):
        labels = {name: json.loads(f'"{value}"') for name, value in _LABEL.findall(found[2] or "")}
        if found[1]:
            labels["__name__"] = found[1]
        samples[tuple(sorted(labels.items()))] = float(found[3])
    return samples

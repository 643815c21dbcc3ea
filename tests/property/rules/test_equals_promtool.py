"""Templates and alert states mean what real promtool says they mean."""

import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bus.frames import FrameWriter, SeriesLayout
from rules.alerts.alert import AlertState
from rules.engine import Engine
from rules.templates import Template

ROUNDS = int(os.environ.get("HALLKEEPER_PROMTOOL_ROUNDS", "3"))


def _key(name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    metric, _, rest = name.partition("{")
    pairs = [pair.split("=") for pair in rest.rstrip("}").split(",")]
    return metric, tuple(sorted((label, value.strip('"')) for label, value in pairs))


TEMPLATES = [
    "{{ $labels.node }} has {{ $value }}",
    "{{ .Labels.node }} {{ .Value }} {{ .Labels.nope }}|",
    "{{ $value | humanize }} {{ humanize1024 $value }} {{ $value | humanizePercentage }} {{ $value | humanizeDuration }}",
    '{{ printf "%.2f|%5.1f|%-8s|%d|%q|%g|%e|%v" $value $value $labels.node 7 "q\\"x" $value $value $value }}',
    '{{ if gt $value 100.0 }}high{{ else if eq $labels.node "n1" }}one{{ else }}low{{ end }}',
    '{{- if and (ne $labels.node "n9") (lt $value 1e9) -}} both {{- end -}}',
    "{{ with $labels.node }}<{{ . }}>{{ end }}{{ with $labels.nope }}x{{ else }}none{{ end }}",
    '{{ $x := $labels.node | toUpper }}{{ $x }} {{ $labels.node | title }} {{ toLower "ABC" }}',
    '{{ reReplaceAll "n(.)" "node-$1" $labels.node }} {{ match "^n" $labels.node }} {{ len $labels.node }}',
    '{{ index $labels "node" }} {{ print 1 2 "a" "b" 3 }} {{ not true }} {{ or "" "y" }}',
    "{{/* nothing */}}a {{- /* nothing */ -}} b",
    '{{ (humanize $value) }} {{ $value | printf "%.1f" | toUpper }}',
    '{{ printf "%d" $value }} {{ printf "%s" 1 }} {{ printf "%x %X %o %b" 255 255 8 5 }}',
    "{{ $value | humanizeTimestamp }}",
    "{{ $labels }}",
    '{{ "raw" }} {{ `back\\tick` }} {{ 1.5 }} {{ 100000000.0 }} {{ true }}',
    '{{ stripPort "host:9100" }} {{ stripPort "host" }}',
]
VALUES = [0, 1, -3, 21, 0.5, 0.000123, 123456, 1234567, 12345678.9, 93784.5, 1e8, 1024, 87.34, 1e-7, 100]


@pytest.mark.peer("promtool")
def test_templates_expand_as_in_promtool(tmp_path: Path) -> None:
    annotations = {f"a{number:02d}": text for number, text in enumerate(TEMPLATES)}
    rules = {"groups": [{"name": "g", "rules": [{"alert": "T", "expr": "x", "annotations": annotations}]}]}
    (tmp_path / "rules.yaml").write_text(json.dumps(rules))
    alerts = [
        {
            "exp_labels": {"node": f"n{number}"},
            "exp_annotations": {
                name: Template.parse(text).expand({"__name__": "x", "node": f"n{number}"}, float(value))
                for name, text in annotations.items()
            },
        }
        for number, value in enumerate(VALUES)
    ]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [
                    {"series": f'x{{node="n{number}"}}', "values": str(value)} for number, value in enumerate(VALUES)
                ],
                "alert_rule_test": [{"eval_time": "0s", "alertname": "T", "exp_alerts": alerts}],
            }
        ],
    }
    _promtool_agrees(tmp_path, test)


@pytest.mark.peer("promtool")
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_alerts_fire_and_end_when_promtool_says(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    rules = [
        {
            "alert": f"A{hold}{keep}",
            "expr": "x > 5",
            "for": f"{hold}s",
            "keep_firing_for": f"{keep}s",
            "labels": {"severity": "page"},
        }
        for hold in (0, 2, 5)
        for keep in (0, 3)
    ]
    rules += [
        {"alert": "Sum", "expr": "sum by (node) (x) > 12", "for": "1s"},
        {"alert": "Gone", "expr": "absent(x{gpu='0',node='n1'})"},
    ]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "g", "interval": "1s", "rules": rules}]}))
    series = {
        f'x{{node="{node}",gpu="{gpu}"}}': [
            "_" if rng.random() < 0.05 else "stale" if rng.random() < 0.05 else str(rng.choice([1, 4, 6, 9, 9, 9]))
            for _ in range(60)
        ]
        for node in ("n1", "n2")
        for gpu in ("0", "1", "2")
    }
    firing = _our_firing(tmp_path / "rules.yaml", series)
    expectations = [
        {
            "eval_time": f"{second}s",
            "alertname": rule["alert"],
            "exp_alerts": [{"exp_labels": labels} for labels in firing[second].get(rule["alert"], [])],
        }
        for second in range(60)
        for rule in rules
    ]
    assert sum(len(each["exp_alerts"]) for each in expectations) > 50
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [{"series": name, "values": " ".join(words)} for name, words in series.items()],
                "alert_rule_test": expectations,
            }
        ],
    }
    _promtool_agrees(tmp_path, test)


def _our_firing(path: Path, series: dict[str, list[str]]) -> list[dict[str, list[dict[str, str]]]]:
    """Labels of firing alerts by name, second after second."""
    engine, writer = Engine([path]), FrameWriter(3)
    stale = float(np.array([0x7FF0000000000002], dtype="<u8").view("<f8")[0])
    found = []
    for second in range(60):
        page = {name: words[second] for name, words in series.items() if words[second] != "_"}
        if page:
            values = np.array([stale if word == "stale" else float(word) for word in page.values()])
            layout = SeriesLayout.of([_key(name) for name in page])
            for message in writer.messages("a/b", 1, layout, second * 1000, values):
                engine.append_frame(message.value)
        engine.evaluate(second * 1000)
        now: dict[str, list[dict[str, str]]] = {}
        for _, alert in engine.alerts():
            if alert.state is AlertState.FIRING:
                labels = {name: text for name, text in alert.labels.items() if name != "alertname"}
                now.setdefault(alert.labels["alertname"], []).append(labels)
        found.append(now)
    return found


def _promtool_agrees(folder: Path, test: dict[str, object]) -> None:
    (folder / "test.yaml").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:6000]

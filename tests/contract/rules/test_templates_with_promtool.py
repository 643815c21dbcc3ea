"""Every template function, said by us and by a real promtool over the same alert: the same text."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bus.frames import FrameWriter, SeriesLayout
from rules.engine import Engine
from tests.conftest import peer_path

LABELS = {"instance": "node-7.example.org:9100", "job": "node", "path": "/data <1>", "zone": "3", "quoted": 'a "b"'}
EXTERNAL = {"site": "hall-1", "region": "north"}
URL = "http://console.example.org/hall"
VALUES = (0.0, 1.0, 12.5, 1234567.891, -0.00123, 1e-10, 86_399.5, 1_700_000_000.25, -90_061.0, 1e15, 0.0000001)
TEMPLATES = {
    "plain": "no template at all",
    "value": "{{ $value }} {{ .Value }} {{ printf `%.2f` $value }} {{ printf `%08.3f|%-12.1e|%g|%v` $value $value $value $value }}",
    "humanize": "{{ humanize $value }} {{ humanize1024 .Value }} {{ $value | humanizeDuration }} {{ humanizePercentage $value }}",
    "humanize_text": "{{ humanize `1e6` }} {{ `0.25` | humanizePercentage }} {{ humanizeDuration `3601` }} {{ humanize 1234567 }}",
    "timestamp": "{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0 }}",
    "labels": "{{ $labels.instance }} {{ .Labels.job }} [{{ $labels.absent }}] {{ $labels }} {{ len $labels }} {{ index $labels `zone` }}",
    "external": "{{ $externalLabels.site }} {{ .ExternalLabels.region }}",
    "texts": "{{ title `over THE top` }} {{ toUpper $labels.job }} {{ toLower `ÄB` }} {{ reReplaceAll `(.*):(\\d+)` `$2-${1}` $labels.instance }}",
    "match": "{{ match `^node-[0-9]` $labels.instance }} {{ match `b$` `abc` }} {{ if match `n.de` $labels.job }}yes{{ else }}no{{ end }}",
    "hosts": "{{ stripPort $labels.instance }} {{ stripPort `[::1]:80` }} {{ stripPort `::1` }} {{ stripPort `a` }} {{ stripPort `a:b` }}",
    "links": '{{ graphLink `up{job="x"} > 0` }} {{ tableLink `rate(a[5m])` }}',
    "durations": "{{ parseDuration `1h30m` }} {{ parseDuration `500ms` }} {{ parseDuration `2w` | humanizeDuration }}",
    "safe": "{{ safeHtml `<b>&` }} {{ html `<b>&'` }} {{ urlquery `a b&c/~` }}",
    "args": "{{ with args 1 `two` $value }}{{ .arg0 }} {{ .arg1 }} {{ .arg2 }}{{ end }}",
    "query": "{{ with query `up > 0` }}{{ . | first | value }}{{ end }} {{ query `sum(up)` | first | value | printf `%.1f` }}",
    "range": "{{ range query `up` | sortByLabel `instance` }}{{ .Labels.instance }}={{ .Value }};{{ end }}",
    "range_index": "{{ range $i, $e := query `up` | sortByLabel `instance` }}{{ $i }}:{{ label `instance` $e }} {{ end }}",
    "range_map": "{{ range $name, $text := $externalLabels }}{{ $name }}:{{ $text }} {{ else }}none{{ end }}",
    "range_nothing": "{{ range query `absent_metric` }}some{{ else }}none{{ end }} {{ range $labels }}{{ break }}{{ end }}",
    "range_jumps": "{{ range query `up` | sortByLabel `instance` }}{{ if eq .Value 0.0 }}{{ continue }}{{ end }}{{ .Labels.instance }} {{ end }}",
    "strvalue": "{{ range query `count_values('__value__', up)` | sortByLabel `__value__` }}{{ strvalue . }} {{ end }}",
    "variables": "{{ $x := $value }}{{ if true }}{{ $x = 2.0 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }} {{ with $y := `in` }}{{ $y }}{{ . }}{{ end }}",
    "conditions": "{{ if and $labels.job (gt $value 1.0) }}a{{ else if eq $value 1.0 0.0 }}b{{ else }}c{{ end }}{{ if not $labels.none }}!{{ end }}",
    "with": "{{ with $labels.none }}there{{ else }}{{ with $labels.job }}{{ . }}{{ else }}gone{{ end }}{{ end }}",
    "comparisons": "{{ eq `a` `b` `a` }} {{ ne 1 2 }} {{ lt 1.5 2.5 }} {{ le `a` `b` }} {{ gt 2 1 }} {{ ge 1 1 }} {{ or `` `x` }} {{ and 1 0 }}",
    "print": '{{ print 1 2 `a` `b` 3 }} {{ println `x` 1 }}{{ printf `%d %5d|%-5d|%x %q %s %t %%` 7 7 7 255 `a"b` `s` true }}',
    "slices": "{{ slice `abcdef` 1 3 }} {{ len `äb` }} {{ index (query `up` | sortByLabel `instance`) 0 | value }}",
    "trim": "a  {{- ` b ` -}}  c {{/* nothing */}} d {{- /* nothing */ -}} e",
    "quotes": '{{ "a }} b" }} {{ `{{` }} {{ \'a\' }} {{ "\\u00e4\\t|" }} {{ 0x1F }} {{ 1_000 }} {{ 1e3 }}',
    "define": '{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" $labels.job }}{{ template "t" 5 }}{{ block "b" 1 }}[{{ . }}]{{ end }}',
    "nested": "{{ range query `up` | sortByLabel `instance` }}{{ range query (printf `up{instance=%q}` .Labels.instance) }}{{ .Value }}{{ end }}{{ end }}",
    "numbers": "{{ 1.0 }} {{ 100000.0 }} {{ 1000000.0 }} {{ 123456789.0 }} {{ 0.0001 }} {{ 0.00001 }} {{ -0.5 }}",
}  # fmt: skip


def rule_file(value: float) -> str:
    rule = {"alert": "T", "expr": f"reading == {value!r}", "annotations": TEMPLATES}
    return json.dumps({"groups": [{"name": "g", "rules": [rule]}]})


def our_texts(folder: Path, value: float) -> Mapping[str, str]:
    engine = Engine([folder / "rules.yaml"], external_labels=EXTERNAL, external_url=URL)
    series = {
        ("reading", tuple(LABELS.items())): value,
        ("up", (("instance", "b"),)): 1.0,
        ("up", (("instance", "a"),)): 0.0,
    }
    values = np.array(list(series.values()))
    for message in FrameWriter(1).messages("a/b", 1, SeriesLayout.of(list(series)), 0, values):
        engine.append_frame(message.value)
    (fired,) = engine.evaluate(0)
    assert not engine.failures
    return fired.annotations


def promtools_verdict(folder: Path, value: float, expected: Mapping[str, str]) -> str:
    written = ",".join(f"{name}={json.dumps(text)}" for name, text in LABELS.items())
    test = {
        "rule_files": ["rules.yaml"],
        "tests": [
            {
                "interval": "1m",
                "external_labels": EXTERNAL,
                "input_series": [
                    {"series": f"reading{{{written}}}", "values": repr(value)},
                    {"series": 'up{instance="b"}', "values": "1"},
                    {"series": 'up{instance="a"}', "values": "0"},
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "0m",
                        "alertname": "T",
                        "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": expected}],
                    }
                ],
            }
        ],
    }
    (folder / "test.yaml").write_text(json.dumps(test))
    promtool = peer_path("promtool")
    assert promtool is not None
    answer = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


@pytest.mark.peer("promtool")
@pytest.mark.parametrize("value", VALUES)
def test_promtool_writes_the_same_texts(tmp_path: Path, value: float) -> None:
    (tmp_path / "rules.yaml").write_text(rule_file(value))
    ours = our_texts(tmp_path, value)
    assert not any("error expanding" in text for text in ours.values()), ours
    verdict = promtools_verdict(tmp_path, value, ours)
    assert not verdict, verdict

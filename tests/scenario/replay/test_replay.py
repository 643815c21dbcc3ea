"""A replay finds what happened, says what would have been done, reaches nothing, and is the same every time."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from bus.events import CommandEvent, DeviceEvent, encode_event
from bus.port import Record
from bus.signing import SigningKey, sign
from bus.topics import COMMANDS, EVENTS
from fleet.loader import load_site
from fleet.settings import Settings
from hallkeeper.bench.site_recording import SiteRecording
from hallkeeper.replay.backtest import BacktestError, records, write
from hallkeeper.replay.findings import Findings, Report, encode
from hallkeeper.replay.page import page
from hallkeeper.replay.report import Wanted, report_of
from hallkeeper.replay.words import words
from historian.recording.reader import Recording
from historian.recording.shape import RecordingError, TrustedSigner
from remediator.backtests import may_enforce
from remediator.playbook_loader import SHIPPED, load_playbooks
from rules.service import SHIPPED as CATALOGUE
from simulator.layout import Layout

NODES = "node.yaml/node"
START = 1_767_225_600_000
SMALL = Layout(node_count=32, rack_count=8)
RULES = """
groups:
  - name: node
    interval: 1s
    rules:
      - alert: NodeHung
        expr: agent_heartbeat_timestamp_seconds < time() - 5 and on (node) bmc_power_state == 1
        for: {wait}s
        labels: {{severity: critical}}
      - alert: Silent
        expr: absent(no_such_metric)
        labels: {{severity: warning}}
      - alert: Never
        expr: no_such_metric > 1
"""
GPU = """
groups:
  - name: gpu
    interval: 1s
    rules:
      - record: gpu:events:increase2m
        expr: increase(device_events_total{kind="xid"}[2m])
      - alert: GpuFellOffBus
        expr: gpu:events:increase2m{code="79"} > 0
        labels: {severity: critical}
"""
POWER = """
groups:
  - name: pdu
    interval: 1s
    rules:
      - alert: PduPhaseOverload
        expr: >-
          pdu_phase_current_amperes
          / on (asset, phase) group_left () max by (asset, phase) (fleet_pdu_phase_rated_amperes) >= 0.99
        for: 2s
        labels: {severity: critical}
"""


def rules(folder: Path, *, wait: int = 5) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "node.yaml").write_text(RULES.format(wait=wait))
    (folder / "gpu.yaml").write_text(GPU)
    (folder / "power.yaml").write_text(POWER)
    return folder


def wanted(recording: Path, folder: Path, **more) -> Wanted:
    opened = Recording(recording)
    more.setdefault("warm_seconds", 15.0)
    return Wanted(
        recording=opened,
        site=load_site(opened.site, check_secrets=False),
        rules=folder,
        playbooks=load_playbooks(),
        playbook_folders=(SHIPPED,),
        **more,
    )


@pytest.fixture(scope="module")
def report(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    base = tmp_path_factory.mktemp("rules")
    return report_of(wanted(recording, rules(base / "a"), against=rules(base / "b", wait=12)))


def line(findings: Findings, name: str):
    return next(rule for rule in findings.rules if rule.rule.endswith(f"/{name}"))


def test_what_happened_is_found(report: Report) -> None:
    found = report.findings
    assert {name: line(found, name).fired for name in ("NodeHung", "GpuFellOffBus", "Silent", "Never")} == {
        "NodeHung": 1, "GpuFellOffBus": 1, "Silent": 1, "Never": 0,
    }  # fmt: skip
    (hung,) = [episode for episode in found.episodes if episode.alertname == "NodeHung"]
    assert hung.labels["asset"] == "dgx-018"
    assert hung.firing_ms is not None
    assert START + 20_000 + 8_000 <= hung.firing_ms <= START + 20_000 + 12_000


def test_the_feed_that_is_lost_would_have_been_answered_by_shedding(report: Report) -> None:
    sheds = [remedy for remedy in report.findings.remedies if remedy.playbook == "phase-overload"]
    assert sheds
    assert {remedy.target for remedy in sheds} == {"pdu-r08-b"}
    assert {step.verb for step in sheds[0].steps} == {"cordon", "gpu_power_limit"}
    assert sheds[0].decided_ms is not None
    assert 0 < sheds[0].decided_ms - (START + 60_000) < 10_000


def test_a_remedy_names_its_acts_its_nodes_and_what_they_draw(report: Report) -> None:
    (remedy,) = [one for one in report.findings.remedies if one.playbook == "node-hung"]
    assert [step.verb for step in remedy.steps][:2] == ["cordon", "power_off"]
    assert remedy.nodes == ("dgx-018",)
    assert 1_000 < remedy.watts < 12_000
    assert remedy.phase == "would_have"
    assert report.findings.totals.megawatts > 0


def test_a_step_that_a_gate_would_refuse_is_told_with_its_reason(report: Report) -> None:
    (remedy,) = [one for one in report.findings.remedies if one.playbook == "gpu-fell-off-bus"]
    assert {step.verb: step.refused for step in remedy.steps}["power_off"] == "not_drained"
    assert [refused.gate for refused in remedy.refused] == ["hold_down"]
    assert report.findings.totals.refused == {"hold_down": 1}


def test_rules_that_never_fired_are_told_apart_from_those_that_could_not(report: Report) -> None:
    assert [uid.rpartition("/")[2] for uid in report.findings.silent] == ["Never"]
    assert line(report.findings, "Never").unseen == ("no_such_metric",)
    assert line(report.findings, "NodeHung").unseen == ()


def test_two_rule_sets_are_compared_rule_by_rule(report: Report) -> None:
    assert report.difference is not None
    (moved,) = report.difference.rules
    assert (moved.rule, moved.change, moved.moved) == (f"{NODES}/NodeHung", "moved", 1)
    assert moved.earlier_seconds == 7.0
    assert report.difference.same == 4


def test_a_rule_that_only_one_set_has_is_said(recording: Path, tmp_path: Path) -> None:
    other = rules(tmp_path / "b")
    (other / "gpu.yaml").unlink()
    found = report_of(wanted(recording, rules(tmp_path / "a"), against=other))
    assert found.difference is not None
    assert [(one.rule, one.change) for one in found.difference.rules] == [("gpu.yaml/gpu/GpuFellOffBus", "added")]
    assert found.difference.remedies_only_here == ("gpu-fell-off-bus dgx-031",)


def test_equal_input_gives_equal_bytes_in_processes_that_hash_differently(recording: Path, tmp_path: Path) -> None:
    folder = rules(tmp_path / "rules")
    found = []
    for seed in ("1", "2"):
        html = tmp_path / f"{seed}.html"
        command = [sys.executable, "-m", "hallkeeper", "replay", str(recording), "--rules", str(folder)]
        ran = subprocess.run(
            [*command, "--report", str(html), "--json", "--warm-up", "15"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert b"times real time" in ran.stderr
        found.append((ran.stdout, html.read_bytes()))
    assert found[0] == found[1]
    assert json.loads(found[0][0])["format"] == "hallkeeper.replay/1"


@pytest.mark.parametrize("shipped", [True, False], ids=["the catalogue", "three groups"])
def test_what_is_left_out_for_speed_changes_no_byte(recording: Path, tmp_path: Path, *, shipped: bool) -> None:
    """Against a replay that places every frame alone and evaluates every group at every turn."""
    folder = CATALOGUE if shipped else rules(tmp_path / "rules")
    quick, plain = (encode(report_of(wanted(recording, folder, plain=way))) for way in (False, True))
    assert quick == plain
    assert json.loads(quick)["findings"]["totals"]["fired"] > 0


def test_the_page_stands_alone_and_runs_nothing(report: Report) -> None:
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    text = page(report)
    Reader().feed(text)
    tags = {tag for tag, _ in seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert not any(name.startswith("on") or name in {"href", "src"} for _, attrs in seen for name in attrs)
    assert not re.search(r"url\(|@import|@font-face", text)
    assert "prefers-color-scheme:dark" in text
    assert "PduPhaseOverload" in text


def test_what_labels_say_cannot_become_markup(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "x.yaml").write_text(
        "groups: [{name: g, interval: 1s, rules: [{alert: '<script>alert(1)</script>', expr: vector(1),"
        " labels: {severity: '\"><img src=x>'}}]}]"
    )
    text = page(report_of(wanted(recording, folder, until_ms=START + 40_000)))
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


def test_the_words_fit_a_terminal(report: Report) -> None:
    text = words(report)
    assert "1 alerts fired" not in text
    assert "node-hung on dgx-018: cordon, power_off" in text
    assert "differs (4 rules alike)" in text


def test_a_part_of_a_recording_knows_only_what_happened_in_it(recording: Path, tmp_path: Path) -> None:
    """But it names its series: their tables came before it."""
    found = report_of(wanted(recording, rules(tmp_path / "a"), since_ms=START + 60_000, until_ms=START + 100_000))
    assert found.source.from_ms == START + 60_003
    assert found.source.until_ms <= START + 100_000
    assert line(found.findings, "PduPhaseOverload").fired > 0
    assert line(found.findings, "NodeHung").fired == 0


def test_what_people_and_devices_told_then_counts_as_it_did_then(tmp_path: Path) -> None:
    """A lockout refuses, signed by a key that was believed; an event that came before anything was judged is counted."""
    key = SigningKey.from_seed(b"o" * 32)
    command = CommandEvent(
        command_id="c1", kind="lockout", subject="dgx-018", actor="x", role="operator", reason="hands inside",
        at_ms=START + 5_000,
    )  # fmt: skip
    xid = DeviceEvent(
        asset="dgx-001", source="dgx-001/agent", kind="xid", code="79", severity="critical", text="x", at_ms=START
    )
    site = SiteRecording(tmp_path / "r", SMALL)
    value = encode_event(command)
    site.recording.add([Record(COMMANDS, 0, 1, command.key(), value, sign(value, key), START + 5_000)])
    site.recording.add([Record(EVENTS, 0, 9, xid.key(), encode_event(xid), (), START + 1_000)])
    trusted = {key.key_id: TrustedSigner(public=key.public, role="operator", name="alice")}
    site.recording.manifest = msgspec.structs.replace(site.recording.manifest, trusted=trusted)
    site.run(40 / 60, [(15.0, lambda plant: plant.hang(17))])
    found = report_of(wanted(tmp_path / "r", rules(tmp_path / "a"), warm_seconds=10.0)).findings
    (remedy,) = [one for one in found.remedies if one.playbook == "node-hung"]
    assert remedy.decided_ms is None
    assert [refused.gate for refused in remedy.refused] == ["lockout"]
    assert "alice" in remedy.refused[0].text
    assert found.totals.refused["lockout"] == 1
    assert {one.labels["asset"] for one in found.episodes if one.alertname == "GpuFellOffBus"} == {"dgx-001"}


def test_a_damaged_recording_is_refused(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(recording, folder)
    path = sorted((folder / "frames").iterdir())[1]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RecordingError, match="hash differs"):
        report_of(wanted(folder, rules(tmp_path / "a")))


# back-tests


def test_the_back_test_is_what_the_remediator_asks_for(report: Report, recording: Path, tmp_path: Path) -> None:
    folder, data = rules(tmp_path / "rules"), tmp_path / "data"
    playbooks = load_playbooks()
    kept = records(report, playbooks, folder, by="alice", at_ms=7)
    ours = {"node-hung", "gpu-fell-off-bus", "phase-overload"}
    assert set(kept) >= ours
    assert (kept["node-hung"].fired, kept["node-hung"].would_have) == (1, 1)
    write(data, kept)
    site = load_site(recording / "site.yaml", check_secrets=False)
    object.__setattr__(site, "simulated", False)
    outlets = {
        str(outlet.id): str(node.id)
        for node in site.assets.values()
        if node.kind.value == "node"
        for outlet in site.graph.outlets_of(node.id)
    }
    (data / "commissioned.json").write_text(json.dumps({"outlets": outlets}))
    settings = Settings.model_validate({"rules": [str(folder)], "data": str(data)})
    assert ours <= {name for name, may in may_enforce(site, playbooks, settings).items() if may}
    rules(folder, wait=6)
    assert may_enforce(site, playbooks, settings)["node-hung"] is False
    assert may_enforce(site, playbooks, settings)["gpu-fell-off-bus"] is True


def test_a_playbook_whose_rule_was_not_replayed_is_not_vouched_for(report: Report, tmp_path: Path) -> None:
    folder = rules(tmp_path / "rules")
    (folder / "gpu.yaml").unlink()
    vouched = set(records(report, load_playbooks(), folder, by="a", at_ms=1))
    assert vouched >= {"node-hung", "phase-overload"}
    assert "gpu-fell-off-bus" not in vouched


def test_back_tests_of_others_stay_and_a_broken_file_is_not_overwritten(report: Report, tmp_path: Path) -> None:
    folder, data = rules(tmp_path / "rules"), tmp_path / "data"
    data.mkdir()
    (data / "backtests.json").write_text(json.dumps({"mine": {"hash": "x", "by": "bob", "at_ms": 1}}))
    write(data, records(report, load_playbooks(), folder, by="alice", at_ms=2))
    found = json.loads((data / "backtests.json").read_text())
    assert found["mine"] == {"hash": "x", "by": "bob", "at_ms": 1}
    assert found["node-hung"]["by"] == "alice"
    (data / "backtests.json").write_text("{")
    with pytest.raises(BacktestError):
        write(data, records(report, load_playbooks(), folder, by="alice", at_ms=2))
    assert (data / "backtests.json").read_text() == "{"


def test_the_json_is_the_report(report: Report) -> None:
    found = json.loads(encode(report))
    assert found["findings"]["totals"]["fired"] == report.findings.totals.fired
    assert found["difference"]["rules"][0]["earlier_seconds"] == 7.0

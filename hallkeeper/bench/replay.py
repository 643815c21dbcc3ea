"""Replay measured: the simulated site is recorded in virtual time, and the recording run through the shipped rules and playbooks."""

import tempfile
import time
from pathlib import Path

from fleet.loader import load_site
from hallkeeper.bench.site_recording import SiteRecording, story
from hallkeeper.replay.report import Wanted, report_of
from hallkeeper.replay.stages import Stages
from historian.recording.reader import Recording
from historian.recording.shape import MANIFEST
from remediator.playbook_loader import SHIPPED, load_playbooks
from rules.service import SHIPPED as CATALOGUE
from simulator.layout import Layout

NODES_PER_RACK = 4


def run(*, nodes: int, minutes: float, seed: int, recording: Path | None, rules: Path | None) -> dict[str, object]:
    """CPU-seconds of the replay alone; a recording that is there already is taken as it is, and another one is kept there."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as spare:
        folder = recording or Path(spare) / "recording"
        made = 0.0
        if not (folder / MANIFEST).exists():
            began = time.process_time()
            layout = Layout(node_count=nodes, rack_count=max(1, nodes // NODES_PER_RACK))
            SiteRecording(folder, layout, seed=seed).run(minutes, story(layout, minutes))
            made = time.process_time() - began
        return _measured(folder, rules or CATALOGUE, made)


def _shares(stages: Stages, cpu_seconds: float) -> dict[str, float]:
    """Of the CPU: `load` site, rules and playbooks, `learn` series tables, `read` files, `place` samples, `models`, `choose` what must be judged, judge by `rules`, `remediate`."""
    shares = {name: 100 * seconds / cpu_seconds for name, seconds in stages.seconds.items()}
    return {name: round(share, 1) for name, share in (*shares.items(), ("other", 100 - sum(shares.values())))}


def _measured(folder: Path, rules: Path, made: float) -> dict[str, object]:
    began, stages = time.process_time(), Stages(time.process_time)
    with stages("load"):
        opened, playbooks = Recording(folder), load_playbooks()
        site = load_site(folder / "site.yaml", check_secrets=False)
    wanted = Wanted(recording=opened, site=site, rules=rules, playbooks=playbooks, playbook_folders=(SHIPPED,))
    report = report_of(wanted, stages=stages)
    cpu_seconds = time.process_time() - began
    seconds = (report.source.until_ms - report.source.from_ms) / 1000
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    return {
        "bench": "replay",
        "points": report.source.points,
        "frames": report.source.frames,
        "recorded_seconds": round(seconds, 1),
        "rules": len(report.findings.rules),
        "cpu_seconds": round(cpu_seconds, 2),
        "times_real_time": round(seconds / cpu_seconds, 1),
        "points_per_cpu_second": round(report.source.points / cpu_seconds),
        "stages_percent": _shares(stages, cpu_seconds),
        "bytes_per_point": round(size / report.source.points, 3),
        "fired": report.findings.totals.fired,
        "would_have": report.findings.totals.would_have,
        "cpu_seconds_to_record": round(made, 1),
    }

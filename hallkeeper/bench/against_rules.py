"""Debian's Prometheus on the same series and the same 200 rules: its CPU with rules less its CPU without, in the same run."""

import tempfile
import time
from pathlib import Path

from hallkeeper.bench import load_rules as load
from hallkeeper.bench.against import cpu_of, free_port, running
from hallkeeper.bench.measure import load_process

WARM_SECONDS = 75.0
"""Until every range of a minute is full, as for ours."""


def prometheus(
    rules: Path, seconds: float, seed: int, evaluations_a_pass: int, ours: dict[str, object]
) -> dict[str, object]:
    """Series evaluations per CPU-second of Prometheus, and our figure over its. Raises `PeerAbsent`."""
    with load_process("hallkeeper.bench.load_rules", "--seed", str(seed)) as pages:
        idle = _cpu_a_second(int(str(pages["port"])), None, seconds)
        busy = _cpu_a_second(int(str(pages["port"])), rules, seconds)
    per_cpu_second = evaluations_a_pass / max(busy - idle, 1e-9)
    return {
        "against": "prometheus",
        "against_cpu_share_without_rules": round(idle, 4),
        "against_cpu_share_with_rules": round(busy, 4),
        "against_series_evaluations_per_cpu_second": round(per_cpu_second),
        "ratio": round(float(str(ours["series_evaluations_per_cpu_second"])) / per_cpu_second, 1),
    }


def _cpu_a_second(port: int, rules: Path | None, seconds: float) -> float:
    """CPU-seconds that Prometheus takes in a second, once it is warm."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text(_config(port, rules))
        arguments = [
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{free_port()}",
        ]
        with running("prometheus", arguments) as process:
            time.sleep(WARM_SECONDS)
            before = cpu_of(process.pid)
            time.sleep(seconds)
            return (cpu_of(process.pid) - before) / seconds


def _config(port: int, rules: Path | None) -> str:
    """Every node scraped every five seconds, rules evaluated every second."""
    targets = "".join(
        f"  - job_name: node-{node}\n    metrics_path: /node/{node}/metrics\n    static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{job: dcgm, instance: 'dgx-{node:03d}:9400'}}}}]\n"
        for node in range(load.NODES)
    )
    jobs = f"  - job_name: kubernetes\n    metrics_path: /jobs/metrics\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    named = f"rule_files: ['{rules}']\n" if rules else ""
    return f"global: {{scrape_interval: {load.INTERVAL_SECONDS}s, evaluation_interval: 1s}}\n{named}scrape_configs:\n{targets}{jobs}"

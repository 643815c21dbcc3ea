"""The benches measure what they say: every page and every varbind of the load, read back from the bus."""

import pytest

from hallkeeper.bench import scrape, snmp


def test_the_scrape_bench_counts_the_points_of_every_page() -> None:
    result = scrape.run(seconds=2.0, targets=4)
    assert result["points"] == result["pages"] * 320
    assert result["pages"] == pytest.approx(8, abs=4)
    assert result["points_per_cpu_second"] == pytest.approx(result["points"] / result["cpu_seconds"], rel=0.1)
    assert 90_000 < result["page_bytes"] < 105_000
    assert "synchronous=NORMAL" in result["durable"]


def test_the_snmp_bench_counts_288_varbinds_an_agent() -> None:
    result = snmp.run(seconds=2.0, agents=(4,))
    assert result["varbinds"] % 48 == 0
    assert result["varbinds"] == pytest.approx(4 * 288 * 2, abs=4 * 288 * 1.2)
    assert result["varbinds_per_cpu_second"] > 0

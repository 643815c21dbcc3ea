"""How long a site takes to load, in CPU-seconds: every process of an installation loads it at its start."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.loader import load_site
from fleet.model import Kind


def site_text(rows: int, racks: int, nodes: int) -> str:
    """A site written out in full, no ranges: two PDUs a rack, two outlets of each a node."""
    return "\n".join(_lines(rows, racks, nodes)) + "\n"


def _lines(rows: int, racks: int, nodes: int) -> Iterator[str]:
    yield "site: big\ncredentials: {pdu: {}, bmc: {}, agent: {}}\nhalls:\n  - name: hall-1\n    rows:"
    pdus: list[str] = []
    for row in range(rows):
        yield f"      - name: row-{row}\n        zone: {row}\n        racks:"
        for rack in range(racks):
            yield f"          - name: r{row}-{rack}\n            nodes:"
            for node in range(nodes):
                host = f"n{row}-{rack}-{node}"
                yield f"              - name: {host}\n                model: dgx-h100\n                gpus: 8"
                yield "                idle_watts: 2000\n                max_watts: 10200"
                yield f"                bmc: {{address: {host}-bmc.example, profile: openbmc, credentials: bmc}}"
                yield f'                exporters: [{{kind: dcgm, address: "http://{host}:9400/metrics", refresh_seconds: 1}}]'
                yield f'                agent: {{address: "https://{host}:9443", credentials: agent}}'
            for feed in "ab":
                outlets = ", ".join(
                    f"{{outlet: {2 * node + side + 1}, node: n{row}-{rack}-{node}, supply: psu-{feed}{side}, phase: {(node + side) % 3 + 1}}}"
                    for node in range(nodes)
                    for side in range(2)
                )
                pdus.append(
                    f"    - {{name: pdu-{row}-{rack}-{feed}, rack: r{row}-{rack}, feed: {feed}, fed_by: [busbar-{feed}], "
                    f"profile: eaton-epdu-g3, address: pdu-{row}-{rack}-{feed}.example, rated_amperes: 63, outlets: [{outlets}]}}"
                )
    yield "power:\n  grid_supplies: [{name: grid-1, rated_watts: 5e7}]\n  busbars:"
    yield from (f"    - {{name: busbar-{feed}, rated_watts: 1e7, fed_by: [grid-1]}}" for feed in "ab")
    yield "  pdus:"
    yield from pdus


@pytest.mark.parametrize(("shape", "at_most_seconds"), [((4, 4, 4), 0.5), ((20, 8, 4), 3.0)], ids=["64", "640"])
def test_a_site_loads_in_time(shape: tuple[int, int, int], at_most_seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(site_text(*shape))
    started = time.process_time()
    site = load_site(path)
    took = time.process_time() - started
    assert len(site.of_kind(Kind.NODE)) == shape[0] * shape[1] * shape[2]
    assert took < at_most_seconds

"""Load for the memory bench: every frame of a simulated site onto a pipe, second by second of the site's own time."""

import argparse
import struct
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

from hallkeeper.bench.site_recording import SiteRecording
from simulator.layout import Layout

NODES_PER_RACK: Final = 4


def feed(out: BinaryIO, *, nodes: int, seconds: int, seed: int) -> None:
    """For each second the clock at its end (Unix ms) and a count, then each message behind its length."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        layout = Layout(node_count=nodes, rack_count=max(1, nodes // NODES_PER_RACK))
        site = SiteRecording(Path(folder) / "site", layout, seed=seed)
        for at_ms, records in site.frames(seconds):
            values = [record.value or b"" for record in records]
            out.write(struct.pack("<QI", at_ms, len(values)))
            out.writelines(struct.pack("<I", len(value)) + value for value in values)
        out.flush()


def main() -> None:
    """Feed standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    feed(sys.stdout.buffer, nodes=given.nodes, seconds=given.seconds, seed=given.seed)


if __name__ == "__main__":
    main()

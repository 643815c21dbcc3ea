"""The node's GPUs behind one port, and the adapter for nvidia-smi, the tool that every NVIDIA node has.

NVML through a library would save the process start (about 50 ms) and needs one more dependency; another adapter of `Gpus`
is where it would go.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from agent.kernel_lines import pci_address
from agent.protocol import GPU_LIMIT, GpuReading
from agent.tool import Tool
from fleet.errors import Malformed, Refused

QUERY = (
    "index",
    "uuid",
    "pci.bus_id",
    "power.draw",
    "power.limit",
    "power.default_limit",
    "power.min_limit",
    "power.max_limit",
    "temperature.gpu",
)
READ_SECONDS = 5.0
WRITE_SECONDS = 15.0
"""nvidia-smi answers for 8 GPUs in 0.1 to 1 s, more while the driver initialises (defaults to tune)."""

RESET_SECONDS = 100.0
"""A reset takes seconds a GPU, with NVSwitches some tens (default to tune)."""

Addresses = dict[str, int]
"""PCI address to GPU number."""


class Gpus(Protocol):
    """What the daemon needs of the node's GPUs."""

    async def read(self) -> tuple[list[GpuReading], Addresses]:
        """What each GPU says now. Raises `Unreachable`, `Malformed` or `Refused`."""
        ...

    async def set_power_limit(self, gpus: Sequence[int], watts: float) -> None:
        """Set the absolute limit, once. Raises `Refused` when the driver says no, `Unreachable` when it says nothing."""
        ...

    async def held(self) -> list[tuple[int, str]]:
        """Process and GPU uuid of whatever holds a GPU now. Raises as `read` does."""
        ...

    async def reset(self, gpus: Sequence[int]) -> None:
        """Reset them, once. Raises `Refused` when the driver says no, `Unreachable` when it says nothing."""
        ...


class NoGpus:
    """A node without GPUs, or one whose GPUs are nobody's business."""

    async def read(self) -> tuple[list[GpuReading], Addresses]:
        return [], {}

    async def set_power_limit(self, gpus: Sequence[int], watts: float) -> None:
        raise Refused(f"no GPU {list(gpus)} to limit to {watts:g} W, try `gpus: nvidia-smi` in the agent's settings")

    async def held(self) -> list[tuple[int, str]]:
        return []

    async def reset(self, gpus: Sequence[int]) -> None:
        raise Refused(f"no GPU {list(gpus)} to reset, try `gpus: nvidia-smi` in the agent's settings")


class NvidiaSmi:
    """GPUs through nvidia-smi's CSV output and its `-pl`, which takes absolute watts."""

    def __init__(self, program: str = "nvidia-smi") -> None:
        self._reading = Tool(program)
        self._writing = Tool(program)

    async def read(self) -> tuple[list[GpuReading], Addresses]:
        ended = await self._reading.run(
            [f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"], deadline_seconds=READ_SECONDS
        )
        text = ended.output.decode("utf-8", "replace")
        if ended.status == 0:
            return parse_gpus(text)
        living = [line for line in text.splitlines() if line.count(",") == len(QUERY) - 1]
        if not living:
            raise Refused(f"nvidia-smi ended with {ended.status}: {ended.complaint}, try it on the node")
        return parse_gpus("\n".join(living))  # one GPU is lost: it complains, and tells of the others

    async def set_power_limit(self, gpus: Sequence[int], watts: float) -> None:
        ended = await self._writing.run(
            ["-i", ",".join(str(int(gpu)) for gpu in gpus), "-pl", f"{watts:.2f}".rstrip("0").rstrip(".")],
            deadline_seconds=WRITE_SECONDS,
        )
        if ended.status != 0:
            raise Refused(f"nvidia-smi -pl ended with {ended.status}: {ended.complaint}, try it as root on the node")

    async def held(self) -> list[tuple[int, str]]:
        ended = await self._reading.run(
            ["--query-compute-apps=pid,gpu_uuid", "--format=csv,noheader,nounits"], deadline_seconds=READ_SECONDS
        )
        if ended.status != 0:
            raise Refused(f"nvidia-smi ended with {ended.status}: {ended.complaint}, try it on the node")
        return parse_holders(ended.output.decode("utf-8", "replace"))

    async def reset(self, gpus: Sequence[int]) -> None:
        ended = await self._writing.run(
            ["-r", "-i", ",".join(str(int(gpu)) for gpu in gpus)], deadline_seconds=RESET_SECONDS
        )
        if ended.status != 0:
            raise Refused(f"nvidia-smi -r ended with {ended.status}: {ended.complaint}, try it as root on the node")


def parse_holders(text: str) -> list[tuple[int, str]]:
    """Process and GPU uuid of each line. Raises `Malformed`: who holds a GPU must not be guessed."""
    found = []
    for line in text[:65_536].splitlines():
        if line.strip() in {"", "No running processes found"}:
            continue
        number, _, uuid = (cell.strip() for cell in line.partition(","))
        if not (number.isascii() and number.isdigit()) or not uuid:
            raise Malformed(f"nvidia-smi wrote {line[:80]!r} for a process, try it on the node")
        found.append((int(number[:12]), uuid[:64]))
    return found


def parse_gpus(text: str) -> tuple[list[GpuReading], Addresses]:
    """The CSV that `QUERY` gives; "[N/A]" and its like are None. Raises `Malformed` when a line is no GPU's."""
    readings: list[GpuReading] = []
    addresses: Addresses = {}
    for line in text[:65_536].splitlines():
        row = [cell.strip() for cell in line.split(",")]
        if row == [""]:
            continue
        if len(row) != len(QUERY) or not (row[0].isascii() and row[0].isdigit() and int(row[0][:9]) < GPU_LIMIT):
            raise Malformed(f"nvidia-smi wrote {','.join(row)[:80]!r} for a GPU, try it on the node")
        readings.append(_reading(row))
        addresses[pci_address(row[2])] = int(row[0])
    numbers = [reading.gpu for reading in readings]
    if len(set(numbers)) != len(numbers):
        raise Malformed("nvidia-smi named a GPU twice, try it on the node")
    return readings, addresses


def _reading(row: Sequence[str]) -> GpuReading:
    draw, limit, default, low, high, temperature = (_number(cell) for cell in row[3:])
    return GpuReading(
        gpu=int(row[0]),
        uuid=row[1][:64],
        power_watts=draw,
        power_limit_watts=limit,
        default_power_limit_watts=default,
        min_power_limit_watts=low,
        max_power_limit_watts=high,
        temperature_celsius=temperature,
    )


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""Random telemetry of a few nodes: resets, gaps, ends, odd values, pages that change their shape, frames out of order."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bus.frames import STALE, FrameWriter, SeriesLayout

START_MS = 1_700_000_000_000
SECONDS = 420
STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])
Key = tuple[str, tuple[tuple[str, str], ...]]

NODES = ("n1", "n2", "n3", "n10")
GPUS = ("0", "1", "2")
BOUNDS = ("0.1", "0.5", "1", "2.5", "+Inf")
_GAUGES = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.5, 100.0, -4.0, 0.25)
_ODD = (math.nan, math.inf, -math.inf)


@dataclass
class Delivery:
    """One device answer: which series, when, what; None is a series that ended, `bad` a value that is not good."""

    source: str
    at: int
    values: dict[Key, float | None]
    bad: frozenset[Key] = frozenset()


def page(node: str) -> list[Key]:
    """What one node's page holds."""
    base = (("instance", f"{node}:9400"), ("job", "dcgm"), ("node", node))
    rack = "r1" if node in NODES[:2] else "r2"
    keys: list[Key] = [(name, (*base, ("gpu", gpu))) for name in ("m", "c", "u") for gpu in GPUS]
    keys += [("w", (*base, ("gpu", gpu))) for gpu in GPUS[:2]]
    keys += [("h_bucket", (*base, ("le", bound))) for bound in BOUNDS]
    keys += [("h_count", base), ("up", base), ("huge", base), ("when", base)]
    keys.append(("info", (("node", node), ("rack", rack), ("job", "inv"))))
    keys.append(("target_info", (*base[:2], ("version", f"v{rack}"), ("rack", rack))))
    keys.append(("build_info", (*base[:2], ("revision", node))))
    keys.append(("odd", (("a.b", node), ("ä", "1"))))
    return keys


class _Source:
    """One node's values over time."""

    def __init__(self, node: str, rng: np.random.Generator) -> None:
        self.rng, self.keys = rng, page(node)
        self.count = dict.fromkeys(self.keys, 0.0)
        self.gone = {key for key in self.keys if rng.random() < 0.06}

    def value(self, key: Key, at: int) -> float:
        """The next value of a series."""
        name, rng = key[0], self.rng
        if name in {"c", "h_count"}:
            grown = self.count[key] + float(rng.choice([0, 1, 2, 8, 0.5]))
            self.count[key] = 0.0 if rng.random() < 0.03 else grown
            return self.count[key]
        if name == "w":
            self.count[key] += float(rng.choice([-1, 0, 0, 1, 2]))
            return self.count[key]
        if name == "m":
            return float(rng.choice(_ODD)) if rng.random() < 0.02 else float(rng.choice(_GAUGES))
        if name == "u":
            return float(rng.integers(0, 1 << 40)) / 64
        if name == "huge":
            return float(rng.choice([1e308, -1e308, 1.5e308, 1e300, 5e-324, 1e-310, 0.0]))
        if name == "when":
            return float(rng.choice([at / 1000, 0.0, -1e9, 951_782_400.5, 4_107_542_400.0, 1_709_164_800.0, math.nan]))
        return 1.0 if rng.random() < 0.95 else 0.0

    def histogram(self, values: dict[Key, float | None]) -> None:
        """Buckets grow together; now and then one falls behind, or begins anew."""
        buckets = [key for key in self.keys if key[0] == "h_bucket"]
        total = 0.0
        for key in buckets:
            total += float(self.rng.choice([0, 0, 1, 3]))
            self.count[key] = 0.0 if self.rng.random() < 0.01 else self.count[key] + total
            if key in values and values[key] is not None:
                values[key] = self.count[key] * (1 + 1e-15 * float(self.rng.integers(-3, 4)))

    def answer(self, at: int) -> tuple[dict[Key, float | None], frozenset[Key]]:
        """One page: some series end, some begin again, some are not good, some are missing."""
        values: dict[Key, float | None] = {}
        bad = set()
        for key in self.keys:
            value = self.value(key, at)
            if self.rng.random() < 0.01:
                self.gone ^= {key}
            values[key] = None if key in self.gone else value
            if self.rng.random() < 0.008:
                bad.add(key)
        self.histogram(values)
        if self.rng.random() < 0.05:
            for key in list(values)[:: int(self.rng.integers(2, 5))]:
                del values[key]
        return values, frozenset(bad & values.keys())


def deliveries(seed: int) -> list[Delivery]:
    """Every node's answers over seven minutes."""
    rng = np.random.default_rng(seed)
    found = []
    for index, node in enumerate(NODES):
        interval = int(rng.choice([5_000, 5_000, 7_000, 15_000]))
        phase = int(rng.integers(0, interval)) if rng.random() < 0.7 else 0
        source = _Source(node, rng)
        for at in range(START_MS + phase, START_MS + SECONDS * 1000, interval):
            jitter = int(rng.integers(-200, 200)) if rng.random() < 0.3 and at > START_MS + 1000 else 0
            if rng.random() < 0.04:
                continue
            found.append(Delivery(f"{node}/dcgm", at + jitter + index, *source.answer(at)))
    return found


def stored(found: Sequence[Delivery]) -> list[dict[str, object]]:
    """The deliveries as Prometheus would have stored them; what is not good is no value there."""
    points: dict[Key, dict[int, str]] = {}
    for delivery in sorted(found, key=lambda each: each.at):
        for key, value in delivery.values.items():
            text = "stale" if value is None or key in delivery.bad else repr(value)
            points.setdefault(key, {}).setdefault(delivery.at, text)
    return [
        {"labels": {"__name__": name, **dict(labels)}, "times": list(each), "values": list(each.values())}
        for (name, labels), each in points.items()
    ]


def largest_values(found: Sequence[Delivery]) -> dict[str, float]:
    """The largest finite magnitude of each metric."""
    largest: dict[str, float] = {}
    for delivery in found:
        for (name, _), value in delivery.values.items():
            if value is not None and math.isfinite(value):
                largest[name] = max(largest.get(name, 0.0), abs(value))
    return largest


def frames(writer: FrameWriter, delivery: Delivery) -> list[bytes]:
    """A delivery as it travels."""
    layout = SeriesLayout.of(list(delivery.values))
    values = np.array([STALE_FLOAT if value is None else value for value in delivery.values.values()])
    quality = np.array([2 if key in delivery.bad else 0 for key in delivery.values], dtype=np.uint8)
    messages = writer.messages(delivery.source, 1, layout, delivery.at, values, quality if delivery.bad else None)
    return [message.value for message in messages]


def arriving(found: Sequence[Delivery], times: Sequence[int], rng: np.random.Generator) -> Iterator[list[bytes]]:
    """For each time the frames that have come by then, and a little beyond; some overtake others."""
    writer, waiting = FrameWriter(7), sorted(found, key=lambda each: each.at)
    for at in times:
        lead = at + int(rng.integers(0, 3_000))
        batch = [delivery for delivery in waiting if delivery.at <= lead]
        waiting = waiting[len(batch) :]
        packed = [frames(writer, delivery) for delivery in batch]
        for first in range(len(packed) - 1):
            if rng.random() < 0.05:
                packed[first], packed[first + 1] = packed[first + 1], packed[first]
        yield [piece for pieces in packed for piece in pieces]

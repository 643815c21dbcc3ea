"""What goes wrong in one seed: drawn once, before anything runs, so that a seed is a story that can be read.

Faults carry the numbers of the fault matrix (docs/how-to/campaign.md); `ill` are machines that need healing, everything
else strikes the product or what it stands on while it heals them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from simulator.layout import Layout

SECONDS: Final = 1_800.0
QUIET_SECONDS: Final = 600.0
"""The end of a seed, in which nothing new breaks and everything must come to rest."""
LEAST_FAULTS: Final = 3
MOST_FAULTS: Final = 7
FIRST_ILL: Final = (40.0, 70.0)
FIRST_ACT_SECONDS: Final = 24.0
"""Within so long the first remedy has begun: nothing else breaks before, or a whole seed may be frozen and prove little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One thing that happens."""

    at: float
    until: float
    number: str
    """Of the fault matrix; `ill` for a machine's own fault, `people` for what an operator does."""
    kind: str
    target: str = ""
    settings: Mapping[str, float] = ()  # type: ignore[assignment]

    def line(self) -> str:
        """One line for a log."""
        settings = " ".join(f"{name}={value:g}" for name, value in sorted(dict(self.settings).items()))
        return f"{self.at:.1f}..{self.until:.1f} {self.number} {self.kind} {self.target} {settings}".rstrip()


Draw = Callable[[Random, Layout, float], Planned]


def plan_of(seed: int, layout: Layout) -> tuple[Planned, ...]:
    """The story of a seed, in order of time."""
    random = Random(seed * 7_919 + 13)
    story = list(_ill(random, layout))
    kinds = random.sample(sorted(FAULTS), k=random.randint(LEAST_FAULTS, MOST_FAULTS))
    for kind in kinds:
        for _ in range(random.choice((1, 1, 2))):
            at = _moment(random, story)
            story.append(FAULTS[kind](random, layout, at))
    return tuple(sorted(story, key=lambda one: (one.at, one.kind, one.target)))


def _moment(random: Random, story: list[Planned]) -> float:
    """Mostly while a remediation is under way: that is when a fault can do harm."""
    ills = [one for one in story if one.number == "ill"]
    first = min(ills, key=lambda one: one.at)
    if random.random() < 0.7:
        ill = random.choice(ills)
        return ill.at + random.uniform(FIRST_ACT_SECONDS if ill is first else 8.0, 75.0)
    return random.uniform(first.at + FIRST_ACT_SECONDS, SECONDS - QUIET_SECONDS - 120.0)


def _ill(random: Random, layout: Layout) -> list[Planned]:
    """Machines that hang or lose a GPU: the first early, so that something is healed before anything else breaks."""
    nodes = random.sample(layout.nodes, k=random.randint(2, 5))
    found = []
    for number, node in enumerate(nodes):
        at = random.uniform(*FIRST_ILL) if number == 0 else random.uniform(100.0, SECONDS - QUIET_SECONDS - 300.0)
        kind = "hung-node" if number == 0 or random.random() < 0.6 else "gpu-off-bus"
        found.append(Planned(at=at, until=SECONDS, number="ill", kind=kind, target=node))
    return found


def _for(number: str, kind: str, low: float, high: float, target: str = "", **settings: tuple[float, float]) -> Draw:
    """A fault that lasts between `low` and `high` seconds."""

    def draw(random: Random, _: Layout, at: float) -> Planned:
        drawn = {name: random.uniform(*span) for name, span in settings.items()}
        return Planned(
            at=at, until=at + random.uniform(low, high), number=number, kind=kind, target=target, settings=drawn
        )

    return draw


def _at_one(
    pick: Callable[[Layout], tuple[str, ...]],
    number: str,
    kind: str,
    low: float,
    high: float,
    **settings: tuple[float, float],
) -> Draw:
    """A fault of one device, drawn too."""

    def draw(random: Random, layout: Layout, at: float) -> Planned:
        return _for(number, kind, low, high, random.choice(pick(layout)), **settings)(random, layout, at)

    return draw


def _nodes(layout: Layout) -> tuple[str, ...]:
    return layout.nodes


def _pdus(layout: Layout) -> tuple[str, ...]:
    return layout.pdus


FAULTS: Final[Mapping[str, Draw]] = {
    "remediator-crash": _for("F1", "crash-at-point", 1.0, 25.0, "remediator", points=(1.0, 40.0)),
    "actuator-crash": _for("F1", "crash-at-point", 1.0, 15.0, "actuator", points=(1.0, 14.0)),
    "remediator-killed": _for("F1", "crash", 1.0, 40.0, "remediator"),
    "actuator-killed": _for("F1", "crash", 1.0, 20.0, "actuator"),
    "rules-killed": _for("F2", "crash", 1.0, 40.0, "rules"),
    "collectors-killed": _for("F2", "crash", 1.0, 40.0, "collectors"),
    "all-killed": _for("F1", "crash", 2.0, 30.0, "all"),
    "remediator-stopped": _for("F3", "pause", 3.0, 60.0, "remediator"),
    "actuator-stopped": _for("F3", "pause", 1.0, 30.0, "actuator"),
    "rules-stopped": _for("F3", "pause", 3.0, 60.0, "rules"),
    "bus-away": _for("F4", "bus-away", 2.0, 60.0),
    "bus-long-away": _for("F5", "bus-away", 120.0, 300.0),
    "one-way": _at_one(_nodes, "F6", "one-way", 10.0, 240.0),
    "one-way-pdu": _at_one(_pdus, "F6", "one-way", 10.0, 240.0),
    "partition": _for("F6", "partition", 60.0, 300.0, nodes=(6.0, 32.0)),
    "doubled": _for("F7", "bus-doubles", 60.0, 300.0, share=(0.1, 0.6)),
    "reordered": _for("F7", "bus-reorders", 60.0, 300.0, share=(0.2, 0.9)),
    "late": _for("F7", "bus-late", 10.0, 120.0, seconds=(1.0, 45.0)),
    "datagrams-doubled": _for("F7", "network", 120.0, 600.0, doubled=(0.3, 1.0)),
    "datagrams-late": _for("F7", "network", 120.0, 600.0, late=(0.2, 0.9)),
    "lost-requests": _for("F6", "network", 60.0, 400.0, lost=(0.1, 0.6)),
    "lost-answers": _for("F6", "network", 60.0, 400.0, mute=(0.2, 0.9)),
    "disk-full": _for("F8", "disk-full", 3.0, 90.0),
    "torn-ledger": _for("F9", "torn", 1.0, 15.0, bytes=(1.0, 400.0)),
    "power-loss": _for("F9", "power-loss", 5.0, 40.0),
    "clock-jump": _for("F10", "clock-jump", 60.0, 600.0, seconds=(-3_600.0, 3_600.0)),
    "suspend": _for("F10", "suspend", 0.0, 0.0, seconds=(2.0, 45.0)),
    "slow-bmc": _at_one(_nodes, "F12", "slow", 30.0, 300.0, delay_seconds=(0.5, 30.0)),
    "agents-silent": _for("F13", "agents-silent", 60.0, 240.0, share=(0.31, 0.6)),
    "pdu-silent": _at_one(_pdus, "F13", "device-silent", 20.0, 300.0),
    "lying-meter": _at_one(_pdus, "F14", "liar", 60.0, 400.0, factor=(0.0, 12.0)),
    "stuck-meter": _at_one(_pdus, "F14", "frozen", 60.0, 400.0),
    "bmc-mute": _at_one(_nodes, "F17", "bmc-mute", 30.0, 400.0),
    "bmc-lies": _at_one(_nodes, "F17", "bmc-lies", 100.0, 900.0),
    "bmc-late": _at_one(_nodes, "F17", "effect-late", 100.0, 900.0, seconds=(3.0, 80.0)),
    "second-remediator": _for("F19", "second-remediator", 30.0, 300.0),
    "scheduler-silent": _for("F25", "device-silent", 10.0, 120.0, "k8s-1"),
    "scheduler-slow": _for("F25", "slow", 20.0, 200.0, "k8s-1", delay_seconds=(0.5, 8.0)),
    "feed-loss": _at_one(_pdus, "F13", "feed-loss", 30.0, 400.0),
    "stop": _for("people", "stop", 20.0, 200.0),
    "lockout": _at_one(_nodes, "people", "lockout", 60.0, 400.0),
    "maintenance": _at_one(_nodes, "people", "maintenance", 60.0, 400.0),
}
"""Every kind of trouble that a seed may draw."""

"""Carries a seed's plan out: begins and ends each trouble at its time, and keeps what a checker must know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np

from hallkeeper.world.faultplan import Planned
from hallkeeper.world.hall import Hall
from hallkeeper.world.house import ACTUATOR, COLLECTORS, REMEDIATOR, RULES, House
from hallkeeper.world.people import People
from simulator.faults import FaultError

ALL = (COLLECTORS, ACTUATOR, RULES, REMEDIATOR)
LEDGER_HOSTS = (REMEDIATOR, ACTUATOR)
End = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Span:
    """Something that held for a while; times are virtual seconds."""

    kind: str
    target: str
    begun: float
    ended: float
    value: float = 0.0
    """How much of it: seconds, a share."""


@dataclass(slots=True)
class Troubles:
    """Begins what is planned."""

    hall: Hall
    house: House
    people: People
    spans: list[Span] = field(default_factory=list)
    injected: dict[str, int] = field(default_factory=dict)
    """By number of the fault matrix and kind."""
    crash_after: dict[str, int] = field(default_factory=dict)
    """Process to the number of crash points that it may still pass."""
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(self.hall.seed * 31 + 7)

    def schedule(self, plan: tuple[Planned, ...]) -> None:
        """Let all of it happen at its time."""
        for one in plan:
            self.hall.loop.call_later(one.at, self._begin, one)

    def point(self, process: str, name: str) -> None:
        """A crash point was reached: the process may die of it."""
        left = self.crash_after.get(process)
        if left is None:
            return
        if left > 1:
            self.crash_after[process] = left - 1
            return
        del self.crash_after[process]
        self._count("F1", f"crash at {name}")
        self.kill(process, self._random.uniform(1.0, 20.0))

    def _begin(self, one: Planned) -> None:
        begin = _BEGIN.get(one.kind)
        try:
            end = begin(self, one) if begin is not None else self._plant_fault(one)
        except FaultError:  # the machine is down already
            return
        if one.number not in {"ill", "people"} and one.kind != "crash-at-point":
            self._count(one.number, one.kind)
        begun = self.hall.loop.time()
        if end is not None:
            self.hall.loop.call_later(max(one.until - one.at, 0.0), self._end, end, one, begun)

    def _end(self, end: End, one: Planned, begun: float) -> None:
        end()
        value = max(dict(one.settings).values(), default=0.0)
        self.spans.append(Span(one.kind, one.target, begun, self.hall.loop.time(), value))

    def _count(self, number: str, kind: str) -> None:
        name = f"{number} {kind}"
        self.injected[name] = self.injected.get(name, 0) + 1

    # machines

    def _plant_fault(self, one: Planned) -> End | None:
        """A fault of the simulator's own list."""
        order: dict[str, object] = {"fault": one.kind, "target": one.target, **dict(one.settings)}
        fault = self.hall.faults.begin(order)
        if one.number == "ill":
            self.spans.append(Span(one.kind, one.target, self.hall.loop.time(), one.until))
            return None
        return lambda: _done(self.hall.faults.heal(fault.number))

    def _together(self, fault: str, nodes: list[str]) -> End:
        begun = self.hall.faults.begin({"fault": fault, "targets": nodes})
        return lambda: _done(self.hall.faults.heal(begun.number))

    def partition(self, one: Planned) -> End:
        """Neighbours behind one switch."""
        count = int(dict(one.settings)["nodes"])
        first = self._random.randrange(self.hall.plant.layout.node_count - count)
        return self._together("partition", list(self.hall.plant.layout.nodes[first : first + count]))

    def agents_silent(self, one: Planned) -> End:
        """A share of all agents, anywhere."""
        nodes = self.hall.plant.layout.nodes
        return self._together(
            "agent-silent", self._random.sample(nodes, k=int(len(nodes) * dict(one.settings)["share"]))
        )

    # processes

    def kill(self, name: str, seconds: float) -> None:
        """Kill a process and start it again after so long."""
        process = self.hall.processes.get(name)
        if process is None or not process.alive:
            return
        process.kill()
        self.spans.append(Span("down", name, self.hall.loop.time(), self.hall.loop.time() + seconds))
        self.hall.loop.call_later(seconds, self.start, name)

    def start(self, name: str) -> None:
        """Start a process that is dead; one whose disk refuses is tried again."""
        process = self.hall.processes.get(name)
        if process is None or not process.alive:
            try:
                self.house.start(name)
            except Exception:
                self.hall.processes[name].kill()
                self.hall.loop.call_later(5.0, self.start, name)

    def crash(self, one: Planned) -> None:
        """SIGKILL at a time."""
        for name in ALL if one.target == "all" else (one.target,):
            self.kill(name, one.until - one.at)

    def crash_at_point(self, one: Planned) -> None:
        """SIGKILL at one of the next instants that matter."""
        self.crash_after[one.target] = int(dict(one.settings)["points"])

    def pause(self, one: Planned) -> End | None:
        """SIGSTOP and SIGCONT."""
        process = self.hall.processes.get(one.target)
        if process is None or not process.alive:
            return None
        process.stop()
        return process.go_on

    def second_remediator(self, one: Planned) -> End | None:
        """Somebody starts a second one over the same folder."""
        del one
        second = self.house.start_second_remediator()
        return None if second is None else second.kill

    def power_loss(self, one: Planned) -> None:
        """The host loses its power: all processes die, and what was not synced is gone."""
        for name in ALL:
            self.kill(name, one.until - one.at)
        self.hall.disk.lose_power()

    def torn(self, one: Planned) -> None:
        """The remediator dies, and the last write of its ledger is torn."""
        self.kill(REMEDIATOR, one.until - one.at)
        wal = self.hall.settings.data / "ledger.sqlite-wal"
        if wal.exists():
            with wal.open("ab") as file:
                file.write(self._random.randbytes(int(dict(one.settings)["bytes"])))

    # bus, disk, clocks, network

    def bus_away(self, one: Planned) -> End:
        """Nobody reaches the bus."""
        del one
        self.hall.log.trouble.away = True

        def back() -> None:
            self.hall.log.trouble.away = False

        return back

    def bus_field(self, name: str, value: float) -> End:
        """One of the bus's troubles."""
        setattr(self.hall.log.trouble, name, value)
        return lambda: setattr(self.hall.log.trouble, name, 0.0)

    def network(self, one: Planned) -> End:
        """Shares of datagrams that are lost, doubled or late."""
        for name, share in dict(one.settings).items():
            setattr(self.hall.network, name, share)

        def well() -> None:
            for name in dict(one.settings):
                setattr(self.hall.network, name, 0.0)

        return well

    def one_way(self, one: Planned) -> End:
        """The asset hears us and we do not hear it."""
        self.hall.network.one_way.add(one.target)
        return lambda: self.hall.network.one_way.discard(one.target)

    def disk_full(self, one: Planned) -> End:
        """No write succeeds."""
        del one
        self.hall.disk.full = True

        def room() -> None:
            self.hall.disk.full = False

        return room

    def clock_jump(self, one: Planned) -> End:
        """The host's wall clock is wrong for a while, in every process of it."""
        jump_ms = round(1000 * dict(one.settings)["seconds"])
        self._shift(jump_ms)
        return lambda: self._shift(-jump_ms)

    def _shift(self, jump_ms: int) -> None:
        self.hall.wall_offset_ms += jump_ms
        for process in self.hall.processes.values():
            process.wall_ms += jump_ms

    def suspend(self, one: Planned) -> None:
        """The whole host sleeps: nobody runs, boot time goes on."""
        self.hall.loop.jump(dict(one.settings)["seconds"])

    # instruments

    def liar(self, one: Planned) -> End | None:
        """A PDU whose every value is off by a factor."""
        collecting = self.house.collecting
        if collecting is None:
            return None
        source = f"{one.target}/snmp"
        collecting.liars[source] = dict(one.settings)["factor"]
        return lambda: _done(collecting.liars.pop(source, None))

    def frozen(self, one: Planned) -> End | None:
        """A PDU that repeats one answer as if it were new."""
        collecting = self.house.collecting
        if collecting is None:
            return None
        source = f"{one.target}/snmp"
        collecting.frozen[source] = np.zeros(0)
        return lambda: _done(collecting.frozen.pop(source, None))

    def effect_late(self, one: Planned) -> End:
        """A BMC that says yes and does it later."""
        self.hall.power.slow_effect[one.target] = dict(one.settings)["seconds"]
        return lambda: _done(self.hall.power.slow_effect.pop(one.target, None))


def _done(_: object) -> None:
    """Nothing more."""


def _share(name: str, key: str) -> Callable[[Troubles, Planned], End]:
    def begin(troubles: Troubles, one: Planned) -> End:
        return troubles.bus_field(name, dict(one.settings)[key])

    return begin


_BEGIN: Mapping[str, Callable[[Troubles, Planned], End | None]] = {
    "crash": Troubles.crash,
    "crash-at-point": Troubles.crash_at_point,
    "pause": Troubles.pause,
    "second-remediator": Troubles.second_remediator,
    "power-loss": Troubles.power_loss,
    "torn": Troubles.torn,
    "bus-away": Troubles.bus_away,
    "bus-doubles": _share("doubled", "share"),
    "bus-reorders": _share("swapped", "share"),
    "bus-late": _share("late_seconds", "seconds"),
    "network": Troubles.network,
    "one-way": Troubles.one_way,
    "partition": Troubles.partition,
    "agents-silent": Troubles.agents_silent,
    "disk-full": Troubles.disk_full,
    "clock-jump": Troubles.clock_jump,
    "suspend": Troubles.suspend,
    "liar": Troubles.liar,
    "frozen": Troubles.frozen,
    "effect-late": Troubles.effect_late,
    "stop": lambda troubles, one: troubles.people.stop(one),
    "lockout": lambda troubles, one: troubles.people.lockout(one),
    "maintenance": lambda troubles, one: troubles.people.maintenance(one),
}

"""The devices' own log: every state-changing request that reached one of them, whoever sent it and however often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.truth import GroundTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request as the device saw it."""

    number: int
    at_ms: int
    boottime_ns: int
    device: str
    verb: str
    arguments: Mapping[str, object]
    intent: str
    accepted: bool
    executed: bool
    """It changed something."""
    copy: bool = False
    """Made by the network, not by us."""
    after_fence: bool = False
    """It came after the sender had been told that no copy can run any more."""


@dataclass(slots=True)
class Truth:
    """All arrivals in order."""

    now_ms: Callable[[], int]
    boottime_ns: Callable[[], int]
    arrivals: list[Arrival] = field(default_factory=list)
    told: list[Callable[[Arrival], None]] = field(default_factory=list)

    def record(
        self,
        *,
        device: str,
        verb: str,
        arguments: Mapping[str, object],
        intent: str,
        accepted: bool,
        executed: bool,
        copy: bool = False,
        after_fence: bool = False,
    ) -> None:
        """Write one down."""
        arrival = Arrival(
            number=len(self.arrivals) + 1,
            at_ms=self.now_ms(),
            boottime_ns=self.boottime_ns(),
            device=device,
            verb=verb,
            arguments=dict(arguments),
            intent=intent,
            accepted=accepted,
            executed=executed,
            copy=copy,
            after_fence=after_fence,
        )
        self.arrivals.append(arrival)
        for hear in self.told:
            hear(arrival)


class ServerTruth(GroundTruth):
    """What the simulator's servers write to: the same log, under the intent of the request that is being answered."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.intent = ""
        self.copy = False
        self.count = 0

    def record(
        self,
        *,
        device: str,
        server: str,
        verb: str,
        arguments: Mapping[str, object],
        request_id: str,
        accepted: bool,
        executed: bool,
        note: str = "",
    ) -> None:
        """One request that a server answered."""
        del server, request_id, note
        self._truth.record(
            device=device,
            verb=verb,
            arguments=arguments,
            intent=self.intent,
            accepted=accepted,
            executed=executed,
            copy=self.copy,
        )

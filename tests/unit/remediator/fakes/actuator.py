"""An actuator that keeps the ground truth: what was really executed, once per intent, and what it answers."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from devices.orders import State
from fleet.clock import VirtualClock
from fleet.errors import Ambiguous, Unreachable
from remediator.actuator_client import Answer, IntentMessage
from remediator.facts import Stop
from remediator.switches import Switches
from tests.unit.remediator.fakes.plant import FakePlant

WIRE_SECONDS = 0.3


class FakeActuator:
    """Behaves as the contract says, and as badly as a test wants."""

    def __init__(self, plant: FakePlant, clock: VirtualClock, data: Path) -> None:
        self.plant, self.clock = plant, clock
        self.switches = Switches(data)
        self.executed: list[tuple[int, str, str, str, dict[str, object]]] = []
        """(when, intent, verb, asset, arguments)"""
        self.asked: list[IntentMessage] = []
        self.journal: dict[str, Answer] = {}
        self.highest_epoch = 0
        self.lose_answers: set[str] = set()
        """Verbs whose final answer is lost for good."""
        self.lose_requests: set[str] = set()
        """Verbs that are sent, never arrive and are never answered."""
        self.refuses: dict[str, str] = {}
        self.down = False
        self.boundary: Callable[[str], None] = lambda _point: None

    @property
    def verbs(self) -> list[str]:
        return [verb for _, _, verb, _, _ in self.executed]

    def executions(self) -> Counter[str]:
        return Counter(intent for _, intent, _, _, _ in self.executed)

    def power_acts(self) -> list[str]:
        return [verb for verb in self.verbs if verb.startswith(("power_", "outlet_"))]

    def deletions(self) -> list[str]:
        return [verb for verb in self.verbs if verb in {"evict", "delete_pod", "taint_out_of_service"}]

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        if self.down:
            raise Unreachable("no actuator")
        self.asked.append(message)
        known = self.journal.get(message.intent)
        if known is not None:
            yield known
            return
        self.boundary("before send")
        refusal = self._refusal(message)
        if refusal is not None:
            yield self._final(message, refusal[0], text=refusal[1])
            return
        before = self.plant.read(message.verb, message.asset, message.arguments)
        goal = {"power_off": "off", "power_on": "on"}.get(message.verb)
        if goal is not None and before == goal:
            yield self._final(message, State.NOT_SENT, before=before, after=before, text="so already")
            return
        sent_ms = self.clock.now_ms()
        lost_request = message.verb in self.lose_requests
        if not lost_request:
            self.executed.append((sent_ms, message.intent, message.verb, message.asset, message.arguments))
            self.plant.execute(message.verb, message.asset, message.arguments)
        lost = lost_request or message.verb in self.lose_answers
        after = None if lost else self.plant.read(message.verb, message.asset, message.arguments)
        state = State.UNKNOWN if lost else State.ACKNOWLEDGED
        final = self._final(message, state, before=before, after=after, sent_at_ms=sent_ms)
        self.boundary("after send")
        yield Answer(intent=message.intent, state=State.SENT, sent_at_ms=sent_ms)
        self.boundary("after sent answer")
        await self.clock.sleep(WIRE_SECONDS)
        self.boundary("before final answer")
        yield final

    def _refusal(self, message: IntentMessage) -> tuple[State, str] | None:
        if message.epoch < self.highest_epoch:
            return State.NOT_SENT, "a newer leader commands"
        self.highest_epoch = message.epoch
        if message.not_after_boottime_ns <= self.clock.boottime_ns():
            return State.NOT_SENT, "too late"
        if self.switches.stop() is not Stop.NONE:
            return State.NOT_SENT, "stopped"
        site = self.plant.site
        reach = {message.asset, str(message.arguments.get("node", ""))}
        reach |= {above for asset in list(reach) if asset in site.assets for above in site.graph.upstream(asset)}
        for lockout in self.switches.lockouts():
            if lockout.asset in reach:
                return State.NOT_SENT, f"locked out by {lockout.actor}"
        if message.verb in self.refuses:
            return State.REFUSED, self.refuses[message.verb]
        return None

    def _final(self, message: IntentMessage, state: State, **fields: object) -> Answer:
        answer = Answer(intent=message.intent, state=state, final=True, **fields)  # type: ignore[arg-type]
        self.journal[message.intent] = answer
        return answer


class LostConnection(FakeActuator):
    """Its connection breaks after the command was handed over, once per intent."""

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        first = message.intent not in self.journal
        async for answer in super().carry_out(message):
            if first and answer.final:
                raise Ambiguous("the connection broke")
            yield answer

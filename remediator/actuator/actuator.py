"""The actuator: takes each intent once for all time, checks it, acts at most once, and remembers how it ended."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from devices.orders import Order, Remember, Settler, State, Verdict, Writer
from devices.wire.ipmi_writer import SESSION_EXPIRY_SECONDS
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Refused
from fleet.model import Endpoint, Site, Wire
from fleet.secrets import read_secret, secret_path
from remediator.actuator.act import Act
from remediator.actuator.asset_lock import AssetLock, AssetLocks
from remediator.actuator.epoch import EpochFile
from remediator.actuator.guard import Situation, refusal
from remediator.actuator.journal import Connect, Journal, JournalError, Memory, connect, unsent
from remediator.actuator.scope import endpoint_of, lock_name
from remediator.actuator_client import Answer, IntentMessage
from remediator.switches import Switches
from remediator.verbs import Lane
from remediator.wiring import QUARANTINE, Quarantine

MOST_ACTS = 256
"""Acts under way at once; more are refused, not queued."""

MakeWriters = Callable[[Remember], Mapping[Wire, Callable[[], Writer]]]

log = structlog.get_logger("hallkeeper.actuator")


@dataclass(slots=True)
class _Held:
    """What `remember` needs of an act whose send is next."""

    act: Act
    lock: AssetLock
    hold_seconds: float


class Actuator:
    """One lane's acts. `run` keeps them in a task group of its own: no client's end cancels one."""

    def __init__(
        self,
        *,
        lane: Lane,
        site: Site,
        data: Path,
        clock: Clock,
        make_writers: MakeWriters,
        connect: Connect = connect,
    ) -> None:
        self.site = site
        self._lane = lane
        self._clock = clock
        self._switches = Switches(data)
        self._quarantine = Quarantine(data)
        self._epoch = EpochFile(data / f"epoch-{lane}")
        self._locks = AssetLocks(data / "locks", clock)
        self._journal = Journal(data / f"actuator-{lane}.sqlite", connect)
        self._journal.forget_old(clock.now_ms())
        self._factories = make_writers(self._remember)
        self._writers: dict[Wire, Writer] = {}
        self._acts: dict[str, Act] = {}
        self._held: dict[str, _Held] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._group: asyncio.TaskGroup | None = None
        self.draining = False

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Settle what an earlier process left in doubt, then act until drained and cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for memory in self._journal.in_doubt():
                self._start(Act(memory.message, sent_at_ms=memory.sent_at_ms), memory)
            ready()
            await asyncio.get_running_loop().create_future()

    def take(self, message: IntentMessage) -> Act:
        """The act of an intent: a new one, the one under way, or how it ended. Never a second send of one."""
        running = self._acts.get(message.intent)
        if running is not None:
            return running
        try:
            memory = self._journal.take(message, self._clock.now_ms())
        except JournalError as error:
            return Act.over(message, unsent(message, f"nothing was sent: {error}"))
        if memory is not None and memory.ending is not None:
            return Act.over(message, memory.ending)
        if memory is not None:
            return self._start(Act(memory.message, sent_at_ms=memory.sent_at_ms), memory)
        return self._start(Act(message), None)

    async def drained(self, *, hurried: asyncio.Event) -> None:
        """Take nothing new and wait for the acts under way; hurried, only for those that may have sent."""
        self.draining = True
        hurry = asyncio.ensure_future(self._hurry(hurried))
        try:
            await self._idle.wait()
        finally:
            hurry.cancel()
        self._journal.close()

    async def _hurry(self, hurried: asyncio.Event) -> None:
        await hurried.wait()
        for act in list(self._acts.values()):
            if not act.committed and act.task is not None:
                act.task.cancel()

    def _start(self, act: Act, memory: Memory | None) -> Act:
        assert self._group is not None
        self._acts[act.message.intent] = act
        self._idle.clear()
        act.task = self._group.create_task(self._carry_out(act, memory), name=act.message.intent)
        return act

    async def _carry_out(self, act: Act, memory: Memory | None) -> None:
        """From the intent to its ending, whatever happens in between."""
        try:
            ending = await (self._acting(act) if memory is None else self._settling(act, memory))
        except asyncio.CancelledError:
            self._end(act, self._broken(act, "the actuator was told to end"), written=not act.committed)
            raise
        except HallkeeperError as error:
            ending = self._broken(act, error)
        except Exception as error:
            log.error("act broke off", intent=act.message.intent, exc_info=error)
            ending = self._broken(act, repr(error))
        self._end(act, ending)

    def _end(self, act: Act, ending: Answer, *, written: bool = True) -> None:
        """Tell and write down how it ended; what was cut off after its send stays in doubt for the next process."""
        try:
            if written:
                self._journal.end(ending)
        except JournalError as error:
            log.error("ending not written", intent=act.message.intent, error=str(error))
        message = act.message
        log.info(
            "act ended",
            intent=message.intent,
            asset=message.asset,
            verb=message.verb,
            state=ending.state,
            text=ending.text,
        )
        del self._acts[message.intent]
        act.end(ending)
        if not self._acts:
            self._idle.set()

    def _broken(self, act: Act, error: object) -> Answer:
        """Broken off on the way: without a send it is a refusal; with one the outcome is not known."""
        if not act.committed:
            return unsent(act.message, f"nothing was sent: {error}")
        return act.verdict(Verdict(state=State.UNKNOWN, text=f"sent, then {error}: read the device"), self._clock)

    async def _acting(self, act: Act) -> Answer:
        message = act.message
        endpoint = endpoint_of(message, self.site)
        self._epoch.see(message.epoch)
        self._refuse_what_must_not_be(message)
        if self.draining or len(self._acts) > MOST_ACTS:
            why = "the actuator is shutting down" if self.draining else f"{MOST_ACTS} acts are under way"
            raise Refused(f"{why}, try again as a new intent")
        with self._locks.locked(lock_name(message), message.intent) as lock:
            order = self._order(message, endpoint)
            return await self._with(self._writer(endpoint.wire), order, act, lock)

    async def _with(self, writer: Writer, order: Order, act: Act, lock: AssetLock) -> Answer:
        """The one call of a writer for an intent."""
        hold_seconds = order.effect_latency_seconds + SESSION_EXPIRY_SECONDS
        self._held[order.intent] = _Held(act, lock, hold_seconds)
        if not isinstance(writer, Settler):
            act.committed = True  # it does not say when its send is next
        try:
            verdict = await writer.act(order, lambda state: self._reached(act, state))
        finally:
            del self._held[order.intent]
        return self._released(act, lock, verdict)

    async def _settling(self, act: Act, memory: Memory) -> Answer:
        """An intent that an earlier process left without an ending: fence, look, never send."""
        message = memory.message
        act.committed = True
        endpoint = endpoint_of(message, self.site)
        writer = self._writer(endpoint.wire)
        if not isinstance(writer, Settler):
            return act.verdict(Verdict(state=State.UNKNOWN, text="the actuator ended in the middle of it"), self._clock)
        if memory.note is None:
            return unsent(message, "nothing was sent: the actuator ended before the send")
        act.reached(State.UNKNOWN, self._clock)
        with self._locks.locked(lock_name(message), message.intent) as lock:
            order = self._order(message, endpoint)
            verdict = await writer.settle(order, memory.note, lambda state: self._reached(act, state))
            return self._released(act, lock, verdict)

    def _released(self, act: Act, lock: AssetLock, verdict: Verdict) -> Answer:
        """Free the asset, or keep it locked for as long as a copy may still run."""
        if verdict.state is State.UNCONFIRMED:
            lock.hold(act.message.intent, SESSION_EXPIRY_SECONDS)
        else:
            lock.clear()
        return act.verdict(verdict, self._clock)

    def _remember(self, intent: str, note: str) -> None:
        """Called by writers right before the send: checked once more, the asset held, the intent durable."""
        held = self._held[intent]
        self._refuse_what_must_not_be(held.act.message)
        held.lock.hold(intent, held.hold_seconds)
        self._journal.remember(intent, note)
        held.act.committed = True

    def _refuse_what_must_not_be(self, message: IntentMessage) -> None:
        situation = Situation(
            lane=self._lane,
            highest_epoch=self._epoch.highest,
            stop=self._switches.stop(),
            lockouts=self._switches.lockouts(),
            boottime_ns=self._clock.boottime_ns(),
            doubted=self._doubted(),
        )
        why = refusal(message, self.site, situation)
        if why is not None:
            raise Refused(why)

    def _doubted(self) -> frozenset[str]:
        """Outlets that are not believed. Raises `Refused` where that cannot be read."""
        try:
            return frozenset(self._quarantine.outlets())
        except (OSError, msgspec.MsgspecError) as error:
            raise Refused(
                f"{QUARANTINE} cannot be read ({error}), try mending it: nothing is sent meanwhile"
            ) from error

    def _reached(self, act: Act, state: State) -> None:
        act.reached(state, self._clock)
        if state is State.SENT and act.sent_at_ms is not None:
            try:
                self._journal.sent(act.message.intent, act.sent_at_ms)
            except JournalError as error:
                log.error("send time not written", intent=act.message.intent, error=str(error))

    def _writer(self, wire: Wire) -> Writer:
        if wire not in self._writers:
            self._writers[wire] = self._factories[wire]()
        return self._writers[wire]

    def _order(self, message: IntentMessage, endpoint: Endpoint) -> Order:
        return Order(
            intent=message.intent,
            asset=message.asset,
            verb=message.verb,
            arguments=message.arguments,
            endpoint=endpoint,
            secret=self._secret(endpoint),
            not_after_boottime_ns=message.not_after_boottime_ns,
            effect_latency_seconds=self.site.asset(message.asset).effect_latency_seconds,
        )

    def _secret(self, endpoint: Endpoint) -> Mapping[str, object]:
        """The write credentials, read for each act: a rotated file counts at once. Raises `Refused`, `SecretError`."""
        reference = self.site.credentials_for(endpoint, write=True)
        if endpoint.wire is Wire.MODBUS:
            return {}  # it knows no credentials: what may be written is the site file's `writable`
        if reference is None:
            raise Refused(f"{endpoint.source} has no write credentials, try `write:` in its credentials group")
        secret = dict(read_secret(reference, base=self.site.base))
        if isinstance(secret.get("ca"), str):
            secret["ca"] = str(secret_path(reference, base=self.site.base).parent / str(secret["ca"]))
        return secret

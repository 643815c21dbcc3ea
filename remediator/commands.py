"""What operators decide, believed only when it is signed by a key that may say it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bus.errors import UnknownMajor
from bus.events import CommandEvent, decode_event
from bus.port import Record
from bus.signing import BadSignature, TrustedKey, verify
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Malformed
from remediator.facts import Approval, Stop
from remediator.ledger import Ledger
from remediator.switches import SwitchError, Switches

APPROVAL_SECONDS = 900
"""A yes without an expiry of its own holds so long (default to tune)."""
CLOCK_SLACK_MS = 60_000
"""A command may be dated this far ahead of our clock."""

log = structlog.get_logger("hallkeeper.remediator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where commands arrive and what they may reach."""

    ledger: Ledger
    switches: Switches
    trusted: Mapping[str, TrustedKey]
    clock: Clock
    approve: Callable[[str, Approval], bool]
    """Hands a yes to the remediation of that id; false where there is none."""
    resumed: Callable[[], None]
    disbelieved: Callable[[str], None]
    """Hears of every command that was dropped, and why: a person is told."""
    acknowledge: Callable[[str, str, str], bool] = lambda _incident, _owner, _comment: False
    """An incident, who has it from here, and a comment; false where there is no such incident."""

    def take(self, record: Record) -> None:
        """One record of the topic: verified, seen once, carried out. Never raises for what is in it."""
        now_ms = self.clock.now_ms()
        try:
            key = verify(record, self.trusted, now_ms, roles=("operator", "admin"))
            event = decode_event(record.value or b"", now_ms=now_ms + CLOCK_SLACK_MS)
        except (BadSignature, Malformed, UnknownMajor) as error:
            self.disbelieved(str(error))
            return
        if not isinstance(event, CommandEvent) or self._seen(event):
            return
        try:
            self._carry_out(event, self.trusted[key], now_ms)
        except (HallkeeperError, OSError) as error:  # believed, and not possible: its sender's matter, nobody is woken
            log.warning("command without effect", kind=event.kind, subject=event.subject, why=str(error))

    def _seen(self, event: CommandEvent) -> bool:
        name = f"command/{event.command_id}"
        if self.ledger.memory(name):
            return True
        self.ledger.remember(name, event.at_ms)
        return False

    def _carry_out(self, event: CommandEvent, key: TrustedKey, now_ms: int) -> None:
        actor = key.name or event.actor
        log.info("command", kind=event.kind, subject=event.subject, actor=actor, reason=event.reason)
        match event.kind:
            case "approve":
                self._approve(event, actor, key.role, now_ms)
            case "deny":
                self.ledger.remember(f"denied/{event.subject}", f"{actor}: {event.reason}")
            case "stop":
                self.switches.throw(max(Stop.CORRECTIVE, self.switches.stop()))
            case "stop_all":
                self.switches.throw(Stop.ALL)
            case "resume":
                self.switches.throw(Stop.NONE)
                self.resumed()
            case "lockout":
                self.switches.lock(event.subject, actor=actor, reason=event.reason, at_ms=event.at_ms)
            case "unlock":
                self._unlock(event, actor, key.role)
            case "maintenance":
                self._maintain(event, actor)
            case "ack":
                self.acknowledge(event.subject, actor, event.reason)  # a page's or an alert's is on-call's
            case _:
                return  # silences are on-call's

    def _approve(self, event: CommandEvent, actor: str, role: str, now_ms: int) -> None:
        expires_at_ms = event.expires_at_ms or event.at_ms + APPROVAL_SECONDS * 1000
        plan = str(event.details.get("plan", ""))
        if expires_at_ms <= now_ms:
            raise SwitchError("the approval had expired when it arrived, try again")
        given = Approval(actor=actor, role=role, plan=plan, expires_at_ms=expires_at_ms)
        if not self.approve(event.subject, given):
            raise SwitchError(f"no remediation {event.subject} waits for it")

    def _unlock(self, event: CommandEvent, actor: str, role: str) -> None:
        """The owner, or the second of two administrators; the first one's wish is kept for the second."""
        if not any(lock.asset == event.subject for lock in self.switches.lockouts()):
            return  # the command line took the file's lock away before it told us
        name = f"unlock/{event.subject}"
        wished: list[str] = list(self.ledger.memory(name).get(name, [])) if role == "admin" else []
        admins = sorted({*wished, actor}) if role == "admin" else []
        try:
            self.switches.unlock(event.subject, actors=[actor], admins=admins)
        except SwitchError:
            if not admins or len(admins) >= 2:
                raise
            self.ledger.remember(name, admins)
            return
        self.ledger.forget(name)

    def _maintain(self, event: CommandEvent, actor: str) -> None:
        name = f"maintenance/{event.subject}"
        if event.details.get("end"):
            self.ledger.forget(name)
            return
        window: dict[str, Any] = {
            "actor": actor,
            "reason": event.reason,
            "from_ms": int(event.details.get("from_ms", event.at_ms)),
            "until_ms": event.expires_at_ms,
        }
        self.ledger.remember(name, window)

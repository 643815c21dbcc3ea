"""What people do while things go wrong: signed commands over the bus, and the files that work without it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bus.events import CommandEvent, encode_event
from bus.port import Message
from bus.signing import SigningKey, sign
from bus.topics import COMMANDS
from hallkeeper.world.faultplan import Planned
from hallkeeper.world.hall import Hall
from remediator.facts import Stop
from remediator.switches import Switches

End = Callable[[], None]


@dataclass(slots=True)
class People:
    """One operator with a key."""

    hall: Hall
    operator: SigningKey
    _sent: int = 0

    def command(self, kind: str, subject: str, **fields: object) -> None:
        """Something that an operator decides, signed."""
        self._sent += 1
        event = CommandEvent(
            command_id=f"c{self._sent}",
            kind=kind,
            subject=subject,
            actor="alice",
            role="operator",
            reason="the campaign asks for it",
            at_ms=self.hall.now_ms() + self.hall.wall_offset_ms,
            **fields,  # type: ignore[arg-type]
        )
        value = encode_event(event)
        self.hall.put(Message(COMMANDS, event.key(), value, sign(value, self.operator)))

    def stop(self, one: Planned) -> End:
        """The stop switch as a file, which works with everything down; resumed by a command."""
        del one
        with suppress(OSError):
            Switches(self.hall.settings.data).throw(Stop.CORRECTIVE)
        return lambda: self.command("resume", "site")

    def lockout(self, one: Planned) -> End:
        """A technician works on a node."""
        Switches(self.hall.settings.data).lock(
            one.target, actor="alice", reason="hands inside", at_ms=self.hall.now_ms()
        )
        return lambda: self.command("unlock", one.target)

    def maintenance(self, one: Planned) -> End:
        """Announced work on a node."""
        now_ms = self.hall.now_ms() + self.hall.wall_offset_ms
        until = now_ms + round(1000 * (one.until - one.at))
        self.command("maintenance", one.target, expires_at_ms=until)
        return lambda: None

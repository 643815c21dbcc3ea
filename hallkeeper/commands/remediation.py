"""`hallkeeper approve|deny|stop|resume|lockout|unlock`: what operators decide about remediation.

Every decision is a signed event on the bus. Stop and lockouts are also files in the data folder, written first: they work
with bus and services down, and the actuators read them themselves before every act.
"""

import asyncio
import getpass
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.errors import BusError
from bus.events import CommandEvent, encode_event
from bus.port import Message, open_bus
from bus.signing import SigningKey, sign
from bus.topics import COMMANDS
from fleet.clock import Clock, SystemClock
from fleet.errors import HallkeeperError
from fleet.loader import load_site
from fleet.secrets import read_secret
from fleet.settings import Settings, load_settings
from hallkeeper.preflight import partitions
from remediator.facts import Stop
from remediator.half_done import half_done
from remediator.switches import Switches

SETTINGS = Annotated[Path, typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept with the decision.")]
APPROVED_SECONDS = 900
"""A yes is good for a quarter of an hour."""
BUS_SECONDS = 10.0
HERE = Path("hallkeeper.yaml")
EVERYWHERE = "site"
LEDGER = "ledger.sqlite"
"""The corrective lane's, in the data folder."""


def approve(
    remediation: Annotated[str, typer.Argument(help="Id of the remediation that asks.")],
    settings: SETTINGS = HERE,
    reason: REASON = "",
    plan: Annotated[
        str, typer.Option("--plan", help="Hash of the plan that was read; a changed plan is not agreed to.")
    ] = "",
) -> None:
    """Say yes to a remediation that asks; it is good for 15 minutes, and every gate is asked again.

    A yes counts for the plan that is asked about now, or for the one named: what changes afterwards is asked anew.
    """
    office = Office(load_settings(settings))
    office.post("approve", remediation, reason, seconds=APPROVED_SECONDS, details={"plan": plan} if plan else None)
    print(f"approved {remediation} as {office.actor}, for {APPROVED_SECONDS // 60} minutes")


def deny(
    remediation: Annotated[str, typer.Argument(help="Id of the remediation that asks.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept with the decision.")],
    settings: SETTINGS = HERE,
) -> None:
    """Say no to a remediation: it ends, and what it did so far is given back."""
    office = Office(load_settings(settings))
    office.post("deny", remediation, reason)
    print(f"denied {remediation} as {office.actor}")


def stop(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="The protective lane too; caps stay where they are.")
    ] = False,
    settings: SETTINGS = HERE,
    reason: REASON = "",
) -> None:
    """Halt remediation now: nothing new is sent, acts under way are read and recorded, half-cycled nodes are listed.

    Works with everything else down.
    """
    office = Office(load_settings(settings))
    switch = office.switches
    switch.throw(Stop.ALL if everything else max(Stop.CORRECTIVE, switch.stop()))
    print(f"stopped: {switch.stop().name.lower()} ({office.settings.data / 'stop'})")
    for line in half_done(office.settings.data / LEDGER):
        print(f"half done: {line}")
    office.tell("stop_all" if everything else "stop", EVERYWHERE, reason)


def resume(settings: SETTINGS = HERE, reason: REASON = "") -> None:
    """Take the stop away and lift every freeze; the state of everything is read before anything is done."""
    office = Office(load_settings(settings))
    office.switches.throw(Stop.NONE)
    print("resumed")
    office.tell("resume", EVERYWHERE, reason)


def lockout(
    asset: Annotated[str, typer.Argument(help="Asset that hands are in: a node, rack, PDU, outlet, row, …")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; whoever meets the lock reads it.")],
    settings: SETTINGS = HERE,
) -> None:
    """Lock an asset: nothing in it is switched, on included, in any mode, until its owner unlocks it."""
    office = Office(load_settings(settings))
    load_site(office.settings.site).asset(asset)
    office.switches.lock(asset, actor=office.actor, reason=reason, at_ms=office.clock.now_ms())
    print(f"locked out {asset} by {office.actor}")
    office.tell("lockout", asset, reason)


def unlock(
    asset: Annotated[str, typer.Argument(help="The asset that was locked out.")],
    settings: SETTINGS = HERE,
    reason: REASON = "",
) -> None:
    """Take your own lock away; another person's takes two administrators, each of whom runs this."""
    office = Office(load_settings(settings))
    if office.owns(asset):
        office.switches.unlock(asset, actors=[office.actor])
        print(f"unlocked {asset}")
        office.tell("unlock", asset, reason)
        return
    office.post("unlock", asset, reason)
    print(f"asked to unlock {asset} as {office.actor}: its owner removes it, or two administrators")


class Office:
    """Who decides here, with which key, and where it is written."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.switches = Switches(settings.data)
        self.key = self._key()
        trusted = None if self.key is None else settings.keys.trusted.get(self.key.key_id)
        self.actor = (trusted.name if trusted is not None else "") or getpass.getuser()
        self.role = "operator" if trusted is None else trusted.role

    def _key(self) -> SigningKey | None:
        reference = self.settings.keys.operator
        if reference is None:
            return None
        return SigningKey.of(read_secret(str(reference), base=self.settings.base), where=str(reference))

    def owns(self, asset: str) -> bool:
        """Whether a lock on it is ours."""
        return any(lock.asset == asset and lock.actor == self.actor for lock in self.switches.lockouts())

    def post(
        self,
        kind: str,
        subject: str,
        reason: str,
        *,
        seconds: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """The decision on the bus. Raises `HallkeeperError` when it does not arrive there."""
        if self.key is None:
            raise HallkeeperError(
                "no operator key; try: hallkeeper keys new FILE, and `keys: operator:` in the settings"
            )
        asyncio.run(self._publish(self.key, kind, subject, reason, seconds, details or {}))

    def tell(self, kind: str, subject: str, reason: str) -> None:
        """The same for what the files have done already: a bus that is away is said, and is no failure."""
        try:
            self.post(kind, subject, reason)
        except HallkeeperError as error:
            print(f"hallkeeper: done here, not told on the bus: {error}", file=sys.stderr)

    async def _publish(
        self,
        key: SigningKey,
        kind: str,
        subject: str,
        reason: str,
        seconds: int | None,
        details: dict[str, Any],
    ) -> None:
        now_ms = self.clock.now_ms()
        event = CommandEvent(
            command_id=secrets.token_hex(16),
            kind=kind,
            subject=subject,
            actor=self.actor,
            role=self.role,
            reason=reason,
            at_ms=now_ms,
            expires_at_ms=None if seconds is None else now_ms + 1000 * seconds,
            details=details,
        )
        value = encode_event(event)
        try:
            async with asyncio.timeout(BUS_SECONDS):
                zones = partitions(load_site(self.settings.site))
                bus = await open_bus(self.settings.bus, data=self.settings.data, clock=self.clock, partitions=zones)
                try:
                    await (await bus.publisher()).publish([Message(COMMANDS, event.key(), value, sign(value, key))])
                finally:
                    await bus.close()
        except (TimeoutError, OSError) as error:
            raise BusError(f"{self.settings.bus} did not take it ({error}), try again once the bus is up") from error

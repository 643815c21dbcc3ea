"""The seams of a remediation under way: everything that is not judgement comes in here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fleet.clock import Clock
from fleet.model import Site
from remediator.attempt import Bench
from remediator.fact_source import FactSource
from remediator.ledger import Ledger
from remediator.looks import Looks
from remediator.records import Intent, Remediation
from remediator.transitions import Move


@dataclass(frozen=True, slots=True)
class Wish:
    """What the incident or a person wants of a remediation."""

    move: Move
    text: str
    cleared: bool = False
    """Nobody asked for it: the alert ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a course reads, writes and asks."""

    clock: Clock
    site: Site
    ledger: Ledger
    bench: Bench
    facts: FactSource
    looks: Looks
    epoch: Callable[[], int | None]
    """The epoch under which acts may be sent now; None without the lease."""
    flush: Callable[[], Awaitable[None]]
    """Returns when the bus has accepted every event of the ledger."""
    wish: Callable[[Remediation], Wish | None]
    told: Callable[[Remediation, str], None]
    """Hears every new state, and which gate refused it ("" where none did)."""
    distrust: Callable[[Intent, str], None] = lambda _intent, _why: None
    """Hears of an outlet that said "off" while watts still flowed behind it: its wiring is not what the inventory says."""
    alerting: Callable[[Remediation], bool] = lambda _state: True
    """Whether the alert that asked for the remedy still fires."""

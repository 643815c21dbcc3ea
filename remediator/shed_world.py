"""The seams of the protective lane's courses."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from fleet.clock import Clock
from fleet.model import AssetId, Site
from remediator.attempt import Bench
from remediator.cluster import Cluster
from remediator.held import Held, held_of
from remediator.ledger import Ledger
from remediator.loads import Loads
from remediator.records import Remediation
from remediator.shed import ShedStep
from remediator.switches import Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedWorld:
    """What a shed or a release reads, writes and asks."""

    clock: Clock
    site: Site
    ledger: Ledger
    bench: Bench
    loads: Loads
    cluster: Cluster | None
    switches: Switches
    plan: Callable[[AssetId], tuple[ShedStep, ...]]
    """The precomputed ladder of a PDU; a lookup, not a solve."""
    epoch: Callable[[], int | None]
    bus_lives: Callable[[], bool]
    """Nothing is given back while the bus is away."""
    told: Callable[[Remediation, str], None]
    random: Random

    def held(self) -> dict[str, Held]:
        """What was taken and not given back."""
        return held_of(self.ledger.memory("held/"))

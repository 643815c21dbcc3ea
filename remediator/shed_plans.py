"""Plans made ahead: the ladder of every loaded PDU, anew every ten seconds, so that a breach needs a lookup and not a solve."""

from collections.abc import Sequence

import structlog

from fleet.clock import Clock
from fleet.model import AssetId, Site
from fleet.settings import Settings
from remediator.loads import Loads
from remediator.playbook import Shed
from remediator.policies import Policy, PolicyError, load_policies
from remediator.shed import ShedStep, ladder
from remediator.switches import Switches, locks

PLAN_SECONDS = 10.0
"""Design, section 5."""
PLANNED_SHARE = 0.80
"""A PDU below this share of its limit has no plan made ahead; one is made when it needs it."""

log = structlog.get_logger("hallkeeper.protective")


class Plans:
    """The last plans and the policies in force."""

    def __init__(self, *, site: Site, clock: Clock, settings: Settings, switches: Switches, shed: Shed) -> None:
        self._site = site
        self._clock = clock
        self._settings = settings
        self._switches = switches
        self._shed = shed
        self._plans: dict[AssetId, tuple[ShedStep, ...]] = {}
        self.policies: Sequence[Policy] = ()
        self.load_policies()

    def load_policies(self) -> None:
        """Read them anew: a file that is wrong arms nothing new, and says so; those in force stay until they expire."""
        try:
            self.policies = load_policies(self._settings.remediation.policies, self._site, self._clock.now_ms())
        except PolicyError as error:
            log.error("policies not taken", why=str(error))

    async def run(self, loads: Loads) -> None:
        """Every ten seconds a plan for each PDU that may need one soon; policies are read anew as well."""
        while True:
            await self._clock.sleep(PLAN_SECONDS)
            self.load_policies()
            now_ms = self._clock.now_ms()
            fresh = {pdu.id: self._made(loads, pdu.id) for pdu in loads.pdus() if self._loaded(loads, pdu.id, now_ms)}
            self._plans = {pdu: plan or self._plans.get(pdu, ()) for pdu, plan in fresh.items()}

    def plan(self, loads: Loads, pdu: AssetId) -> tuple[ShedStep, ...]:
        """The ladder as the meters have it now; the last plan where nothing is known any more of what runs there."""
        return self._made(loads, pdu) or self._plans.get(pdu, ())

    def _loaded(self, loads: Loads, pdu: AssetId, now_ms: int) -> bool:
        phases = loads.phases(pdu, now_ms - round(1000 * PLAN_SECONDS))
        return any((phase.load(now_ms) or 0.0) >= PLANNED_SHARE * phase.limit_amperes for phase in phases)

    def _made(self, loads: Loads, pdu: AssetId) -> tuple[ShedStep, ...]:
        now_ms = self._clock.now_ms()
        lockouts = self._switches.lockouts()

        def untouchable(node: AssetId) -> bool:
            scope = frozenset({node, *self._site.graph.upstream(node)})
            return self._site.asset(node).protected or bool(locks(lockouts, scope))

        jobs = loads.jobs_on(pdu, now_ms, untouchable)
        return ladder(jobs, loads.off_hosts(pdu, self.policies, now_ms), self._shed)

"""Taking over: is this ledger the newest there is, and what does a standby know of what the leader did?"""

from collections.abc import Mapping

import structlog

from bus.errors import UnknownMajor
from bus.events import IncidentEvent, RemediationEvent, decode_event
from bus.port import Bus, Record
from bus.signing import BadSignature, Role, TrustedKey, verify
from bus.topics import INCIDENTS, REMEDIATIONS
from fleet.errors import Malformed
from fleet.model import Site
from remediator.budgets import domains_held
from remediator.incidents import incident_of
from remediator.ledger import Ledger
from remediator.records import Remediation, remediation_of
from remediator.verbs import Lane

log = structlog.get_logger("hallkeeper.remediator")


class Succession:
    """Compares a ledger with its topic, and brings it up to date where that is allowed."""

    def __init__(self, *, site: Site, ledger: Ledger, trusted: Mapping[str, TrustedKey], lane: Lane) -> None:
        self._site = site
        self._ledger = ledger
        self._trusted = trusted
        self._lane = lane

    async def gap(self, bus: Bus) -> str | None:
        """Why the ledger may not be trusted: the topic knows more than it. None where it knows all."""
        missing = [state for record in (await bus.latest(REMEDIATIONS)).values() if (state := self._newer(record))]
        if not missing:
            return None
        what = "missing" if self._ledger.is_new() else "older than its topic"
        return f"the ledger {self._ledger.path} is {what}: {len(missing)} remediations are known to the bus alone"

    async def adopt(self, bus: Bus) -> None:
        """Take from the topics what the ledger lacks: remediations with their intents, and incidents."""
        for record in (await bus.latest(REMEDIATIONS)).values():
            self.take(record)
        for record in (await bus.latest(INCIDENTS)).values():
            self.take_incident(record)

    def take(self, record: Record) -> None:
        """One record of `remediations`."""
        state = self._newer(record)
        if state is not None:
            self._ledger.adopt(state, domains_held(state, self._site.graph))

    def take_incident(self, record: Record) -> None:
        """One record of `incidents`; it commands nothing, and so proves nothing by itself."""
        event = _decoded(record)
        if not isinstance(event, IncidentEvent):
            return
        known = {state.remediation_id: state for state in self._ledger.remediations(ended=None)}
        incident = incident_of(event, known, self._site)
        if incident is not None:
            self._ledger.remember(f"incident/{incident.incident_id}", incident)

    def read(self, record: Record) -> Remediation | None:
        """The state in a record that a trusted service signed; None for anything else."""
        try:
            verify(record, self._trusted, record.at_ms, roles=_SERVICES)
        except BadSignature as error:
            log.warning("ledger record dropped", why=str(error))
            return None
        event = _decoded(record)
        return remediation_of(event) if isinstance(event, RemediationEvent) else None

    def _newer(self, record: Record) -> Remediation | None:
        state = self.read(record)
        if state is None or state.lane is not self._lane or state.target not in self._site.assets:
            return None
        known = self._ledger.remediation(state.remediation_id)
        return state if known is None or known.sequence < state.sequence else None


_SERVICES: tuple[Role, ...] = ("service",)


def _decoded(record: Record) -> object:
    try:
        return decode_event(record.value or b"")
    except (Malformed, UnknownMajor):
        return None

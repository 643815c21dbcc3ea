"""When automation stands still, and what the remediator says about itself."""

import structlog

from fleet.model import AssetId, Site
from remediator.around import Around
from remediator.facts import Freeze
from remediator.freeze import too_many_targets
from remediator.incident_book import IncidentBook
from remediator.ledger import Ledger
from remediator.own_alerts import FREEZE, OBSERVING, OwnAlert, OwnAlerts

TARGETS_KEPT_MS = 600_000
ADOPTED_MS = 600_000
"""How long a passing alert of an earlier process is held on to."""

log = structlog.get_logger("hallkeeper.remediator")


class Standstill:
    """Freezes outlive the process and are lifted by a person; those of telemetry end when it is whole again."""

    def __init__(self, site: Site, ledger: Ledger, around: Around, book: IncidentBook, now_ms: int) -> None:
        self._site = site
        self._ledger = ledger
        self._around = around
        self._book = book
        self._own = OwnAlerts(site)
        self._targets: dict[AssetId, int] = {}
        self._freezes = {
            name.removeprefix("freeze/"): Freeze(code=name.removeprefix("freeze/"), **kept)
            for name, kept in ledger.memory("freeze/").items()
        }
        for incident in book.open:
            for alert in incident.active:
                if alert.rule.startswith("hallkeeper/"):
                    self._own.adopt(alert, now_ms + ADOPTED_MS)
        self.observes: str | None = None
        """Why nothing may be done but watching; None while all is well."""

    def freezes(self, now_ms: int) -> tuple[Freeze, ...]:
        """Everything for which automation stands still now."""
        vanished = self._around.vanished.items()
        telemetry = (Freeze(code=f"telemetry/{kind}", text=alarm.text, since_ms=now_ms) for kind, alarm in vanished)
        return (*self._freezes.values(), *telemetry)

    def targeted(self, nodes: frozenset[AssetId], now_ms: int) -> None:
        """These nodes would be treated now."""
        for node in nodes:
            self._targets.setdefault(node, now_ms)
        self._targets = {node: at for node, at in self._targets.items() if now_ms - at <= TARGETS_KEPT_MS}

    def look(self, now_ms: int) -> None:
        """Freeze where too much failed, and say so; end what is over."""
        alarm = too_many_targets(self._targets, self._site, now_ms)
        if alarm is not None and alarm.code not in self._freezes:
            kept = {"text": alarm.text, "since_ms": now_ms}
            self._ledger.remember(f"freeze/{alarm.code}", kept)
            self._freezes[alarm.code] = Freeze(code=alarm.code, **kept)  # type: ignore[arg-type]
        if alarm is not None:
            self.say(OwnAlert(FREEZE, alarm.code, f"Automation stands still: {alarm.text}", nodes=alarm.nodes), now_ms)
        silent = {f"telemetry/{kind}": gone.nodes for kind, gone in self._around.vanished.items()}
        for freeze in self.freezes(now_ms):
            text = f"Automation stands still: {freeze.text}"
            self.say(OwnAlert(FREEZE, freeze.code, text, nodes=silent.get(freeze.code, ())), now_ms)
        if self.observes is not None:
            self.say(OwnAlert(OBSERVING, "ledger", f"The remediator only observes: {self.observes}"), now_ms)
        for over in self._own.ended(now_ms, self._gone(now_ms)):
            self._book.take(over, now_ms)

    def say(self, alert: OwnAlert, now_ms: int) -> None:
        """One of our own alerts holds."""
        said = self._own.raise_(alert, now_ms)
        if said is not None:
            log.warning("own alert", alert=alert.name, text=alert.text)
            self._book.take(said, now_ms)

    def lift(self) -> None:
        """A person resumes."""
        for name in self._ledger.memory("freeze/"):
            self._ledger.forget(name)
        self._freezes.clear()
        self._targets.clear()
        self.observes = None

    def _gone(self, now_ms: int) -> list[tuple[str, str]]:
        """Own alerts whose reason is gone."""
        codes = {freeze.code for freeze in self.freezes(now_ms)}
        gone = [(FREEZE, alert.key) for alert in self._own.holds(FREEZE) if alert.key not in codes]
        return gone if self.observes is not None else [*gone, (OBSERVING, "ledger")]

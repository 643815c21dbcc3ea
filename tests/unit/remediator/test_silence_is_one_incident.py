"""Instruments that fall silent together and the cause that is found for it are one incident, whichever is noticed first."""

from pathlib import Path

import pytest

from bus.events import AlertEvent, AlertState
from bus.identity import alert_id, fingerprint
from fleet.model import AssetId, Site
from remediator.causes import FREEZE
from remediator.freeze import Sighting, vanished_together
from remediator.incident_book import IncidentBook
from remediator.own_alerts import OwnAlert, OwnAlerts
from tests.unit.remediator.fakes.sitefile import make_site

NOW = 1_700_000_000_000
NODES = tuple(AssetId(f"dgx-{number:03}") for number in range(1, 9))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder: Path = tmp_path_factory.mktemp("site")
    return make_site(folder)


def silent_together(site: Site) -> AlertEvent:
    labels = {"alertname": "NodesSilentTogether", "zone": str(site.asset(NODES[0]).zone), "severity": "critical"}
    return AlertEvent(
        alert_id=alert_id("NodesSilentTogether", fingerprint(labels)), rule="node.yaml/node/NodesSilentTogether",
        alertname="NodesSilentTogether", state=AlertState.FIRING, severity="critical", labels=labels, annotations={},
        value=8.0, active_since_ms=NOW, evaluated_at_ms=NOW, fingerprint=fingerprint(labels), group_interval_seconds=1.0,
    )  # fmt: skip


def test_a_freeze_for_vanished_instruments_names_whose_they_were():
    seen = [Sighting(False, NOW, node) for node in NODES[:4]] + [Sighting(True, NOW, node) for node in NODES[4:]]
    assert vanished_together({"agent": seen}, NOW)["agent"].nodes == NODES[:4]


@pytest.mark.parametrize("freeze_first", [True, False], ids=["freeze first", "cause first"])
def test_a_freeze_and_the_cause_of_the_silence_page_once(site, freeze_first):
    book, own = IncidentBook(site), OwnAlerts(site)
    steps = [
        lambda: book.take(own.raise_(OwnAlert(FREEZE, "telemetry/agent", "8 fell silent", nodes=NODES[:4]), NOW), NOW),
        lambda: book.hear(silent_together(site), NOW),
    ]
    paged = set()
    for step in steps if freeze_first else reversed(steps):
        step()
        book.tick(NOW, lambda _incident, _now: "a person must know")
        paged |= {incident.incident_id for incident in book.changes(NOW) if incident.pages}
    assert len(paged) == 1
    assert len(book.open) == 1


def test_a_freeze_keeps_the_nodes_that_it_named_first(site):
    own = OwnAlerts(site)
    begun = own.raise_(OwnAlert(FREEZE, "mass_failure", "8 at once", nodes=NODES), NOW)
    assert own.raise_(OwnAlert(FREEZE, "mass_failure", "8 at once"), NOW + 1000) is None
    (over,) = own.ended(NOW + 2000, [(FREEZE, "mass_failure")])
    assert (over.asset, over.listed) == (begun.asset, begun.listed)

"""What an act and its reversal make of the limits above a node: amperes on its PDU phases, watts of its rack and feeders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.model import Asset, AssetId, Kind, Limit, Site
from remediator.facts import Headroom
from remediator.vitals import Outlet


@dataclass(frozen=True, slots=True)
class Draw:
    """What one outlet of the node carries now and will carry when the node is back at work."""

    outlet: Asset
    now_watts: float
    back_watts: float


def draws_of(node: Asset, outlets: Sequence[Asset], measured: Mapping[AssetId, Outlet]) -> tuple[Draw, ...]:
    """The node's usual load, carried by those of its outlets that are measured: a dead feed carries nothing back."""
    living = [outlet for outlet in outlets if measured[outlet.id].watts is not None]
    if not living:
        return ()
    at_most = node.ratings.get("max_watts", 0.0) / max(1, len(outlets))
    usual = sum(_usual(measured[outlet.id], at_most) for outlet in outlets)
    share = usual / len(living)
    return tuple(Draw(outlet, measured[outlet.id].watts or 0.0, share) for outlet in living)


def _usual(outlet: Outlet, at_most: float) -> float:
    return at_most if outlet.usual_watts is None else outlet.usual_watts


def headroom_of(
    node: Asset,
    site: Site,
    draws: Sequence[Draw],
    *,
    amperes: Callable[[AssetId, str], float | None],
    watts: Callable[[AssetId], float | None],
    energises: bool,
) -> tuple[Headroom, ...]:
    """One entry for each limit above the node that is metered; sources that stand in for each other are left out."""
    found = []
    for limit in site.graph.limits_above(node.id):
        place = site.asset(limit.asset)
        if place.kind is Kind.PDU and limit.quantity == "amperes" and limit.phase is not None:
            back = sum(_amperes_back(draw, place, limit.phase) for draw in draws)
            found.append(_headroom(limit, amperes(place.id, limit.phase), back, energises=energises))
        elif place.kind in _METERED_IN_WATTS and limit.quantity == "watts":
            back = sum(draw.back_watts - draw.now_watts for draw in draws if _below(draw.outlet, place, site))
            found.append(_headroom(limit, watts(place.id), back, energises=energises))
    return tuple(found)


_METERED_IN_WATTS = frozenset({Kind.RACK, Kind.PDU, Kind.BUSBAR})


def _below(outlet: Asset, place: Asset, site: Site) -> bool:
    return place.kind is Kind.RACK or outlet.id in site.graph.downstream(place.id)


def _amperes_back(draw: Draw, pdu: Asset, phase: str) -> float:
    on_phase = draw.outlet.labels["pdu"] == pdu.id and str(int(draw.outlet.ratings["phase"])) == phase
    return (draw.back_watts - draw.now_watts) / pdu.ratings["volts"] if on_phase else 0.0


def _headroom(limit: Limit, load: float | None, back: float, *, energises: bool) -> Headroom:
    phase = f" phase {limit.phase}" if limit.phase else ""
    return Headroom(
        where=f"{limit.asset}{phase} ({limit.quantity})",
        limit=limit.value,
        load=load,
        after_act=back if energises else 0.0,
        after_reversal=back,
    )

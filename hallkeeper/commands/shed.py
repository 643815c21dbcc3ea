"""`hallkeeper shed`: what would be taken from which jobs to relieve the site, and what it would cost. Sends nothing."""

import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.errors import HallkeeperError
from fleet.loader import load_site
from fleet.model import AssetId, Site
from fleet.settings import Settings, load_settings
from hallkeeper.client import ask, console_url
from hallkeeper.commands.query import SETTINGS, URL
from hallkeeper.shedding.amounts import in_words, seconds, watts
from hallkeeper.shedding.readings import SITE, Reading, read
from hallkeeper.shedding.sources import load_sources
from hallkeeper.tables import table
from remediator.shedding.options import Prices
from remediator.shedding.plan import Plan, needs, plan
from remediator.shedding.schedule import Order, Schedule, schedule
from remediator.shedding.supply import Dispatch, Source, SourceKind, dispatch, redundancy, to_restore
from remediator.switches import Switches, locks

HOLD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator asks for."""

    target_watts: float
    place: str
    notice_seconds: float
    hold_seconds: float | None
    sources: tuple[Source, ...]
    units: int | None


def shed(
    *,
    target: Annotated[str, typer.Option(help="How much less: 3MW, 250kW.")] = "",
    at: Annotated[str, typer.Option(help="Where: a PDU, busbar, rack or substation; the site where left out.")] = SITE,
    start: Annotated[str, typer.Option(help="When it must be gone: now, +30m, or RFC 3339.")] = "now",
    hold: Annotated[str, typer.Option("--for", help="For how long: 2h; until given back where left out.")] = "",
    sources: Annotated[
        Path | None, typer.Option(help="What gives power and what its permits allow; shed what they cannot carry.")
    ] = None,
    grid_limit: Annotated[str, typer.Option(help="What the grid gives at most in that time: 40MW.")] = "",
    redundancy_units: Annotated[
        int | None, typer.Option("--redundancy", min=0, help="How many sources may still fail afterwards.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and print; the only way it runs.")] = False,
    machine: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    url: Annotated[str | None, URL] = None,
    settings: Annotated[Path, SETTINGS] = Path("hallkeeper.yaml"),
) -> None:
    """Plan a load shed: which jobs, which caps, how many watts by when, and how many GPU-seconds it costs."""
    if not dry_run:
        raise HallkeeperError(
            "plans are printed, not carried out; try: --dry-run, and hallkeeper approve for what asks"
        )
    wish = _wish(target, at, start, hold, _sources(sources, grid_limit), redundancy_units)
    installation = load_settings(settings, check_secrets=False)
    site = load_site(installation.site)
    address = console_url(url, settings)
    reading = read(site, lambda expr: ask(address, "query", [("query", expr)])["result"], _locked(installation, site))
    answer = judge(reading, wish)
    if machine:
        print(json.dumps(answer.as_json(), indent=2))
    else:
        _show(answer)
    if answer.plan.unmet:
        sys.exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The plan with all that led to it."""

    wish: Wish
    reading: Reading
    plan: Plan
    schedule: Schedule
    dispatch: Dispatch | None
    load_watts: float
    wanted_at: float
    """Unix seconds."""

    def as_json(self) -> dict[str, Any]:
        """For programs: watts, seconds and GPU-seconds."""
        survey = self.reading.survey
        return {
            "load_watts": self.load_watts,
            "need_watts": dict(self.plan.need),
            "relief_watts": dict(self.plan.relief),
            "unmet_watts": dict(self.plan.unmet),
            "lost_gpu_seconds": self.plan.lost_gpu_seconds,
            "optimal": self.plan.optimal,
            "approval": self.plan.approval,
            "wanted_at": _clock(self.wanted_at),
            "complete_at": _clock(self.wanted_at + self.schedule.complete_at),
            "admissions_stop_at": _clock(self.wanted_at + self.schedule.admissions_stop_at),
            "steps": [self._step(order) for order in self.schedule.orders],
            "places": [
                {
                    "place": place.name,
                    "watts": place.watts,
                    "after_watts": place.watts - self.plan.relief.get(place.name, 0.0),
                    "limit_watts": place.limit_watts,
                }
                for place in survey.places
                if place.name == SITE or place.limit_watts is not None
            ],
            "sources": [
                {"source": share.source.name, "watts": share.watts, "bound": share.bound}
                for share in (() if self.dispatch is None else self.dispatch.shares)
            ],
            "redundancy": self._redundancy(),
            "left_out": list(self.reading.blind),
        }

    def _step(self, order: Order) -> dict[str, Any]:
        step = order.step
        return {
            "what": step.what,
            "act": step.rung.kind.value,
            "tier": step.rung.tier,
            "cap_watts": step.rung.cap_watts,
            "relief_watts": step.relief.get(self.wish.place, 0.0),
            "lost_gpu_seconds": step.lost_gpu_seconds,
            "approval": step.rung.approval,
            "order_at": _clock(self.wanted_at + order.order_at),
            "effect_at": _clock(self.wanted_at + order.effect_at),
            "release_at": None if order.release_at is None else _clock(self.wanted_at + order.release_at),
        }

    def _redundancy(self) -> dict[str, int] | None:
        if not self.wish.sources:
            return None
        after = self.load_watts - self.plan.relief.get(SITE, 0.0)
        sources = self.wish.sources
        return {"now": redundancy(self.load_watts, sources), "after": redundancy(after, sources)}


def judge(reading: Reading, wish: Wish, now: float | None = None) -> Answer:
    """The plan for a wish. Raises `HallkeeperError` for a place that carries nothing known."""
    places = {place.name: place for place in reading.survey.places}
    if wish.place not in places:
        raise HallkeeperError(f"nothing known hangs on {wish.place!r}; try: one of {', '.join(sorted(places)[:8])} …")
    load = places[SITE].watts
    hold = wish.hold_seconds or HOLD_SECONDS
    carried = (
        dispatch(load, wish.sources, notice_seconds=wish.notice_seconds, hold_seconds=hold) if wish.sources else None
    )
    asked = {wish.place: wish.target_watts}
    short = 0.0 if carried is None else carried.short_watts
    if wish.units is not None:
        short = max(short, to_restore(load, wish.sources, wish.units))
    asked[SITE] = max(asked.get(SITE, 0.0), short)
    made = plan(reading.survey, needs(reading.survey.places, asked), Prices(hold_seconds=hold))
    return Answer(
        wish=wish,
        reading=reading,
        plan=made,
        schedule=schedule(made, site=SITE, notice_seconds=wish.notice_seconds, hold_seconds=wish.hold_seconds),
        dispatch=carried,
        load_watts=load,
        wanted_at=(time.time() if now is None else now) + wish.notice_seconds,
    )


def _wish(target: str, place: str, start: str, hold: str, sources: tuple[Source, ...], units: int | None) -> Wish:
    if not target and not sources:
        raise HallkeeperError("nothing is asked for; try: --target 3MW, or --sources FILE with --grid-limit 40MW")
    if units is not None and not sources:
        raise HallkeeperError("--redundancy counts sources and none are named; try: --sources FILE")
    try:
        return Wish(
            target_watts=watts(target) if target else 0.0,
            place=place,
            notice_seconds=_notice(start, time.time()),
            hold_seconds=seconds(hold) if hold else None,
            sources=sources,
            units=units,
        )
    except ValueError as error:
        raise HallkeeperError(str(error)) from None


def _notice(start: str, now: float) -> float:
    """Seconds until the relief is wanted; 0 for now and for what is past. Raises `ValueError` with what to try."""
    if start == "now":
        return 0.0
    if start.startswith("+"):
        return seconds(start[1:])
    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        raise ValueError(f"{start!r} is no time; try: now, +30m or 2026-05-01T18:00:00Z") from None
    if at.tzinfo is None:
        raise ValueError(f"{start!r} has no time zone; try: {start}Z")
    return max(0.0, at.timestamp() - now)


def _sources(path: Path | None, grid_limit: str) -> tuple[Source, ...]:
    found = () if path is None else load_sources(path)
    if not grid_limit:
        return found
    try:
        limit = watts(grid_limit)
    except ValueError as error:
        raise HallkeeperError(str(error)) from None
    others = tuple(source for source in found if source.kind is not SourceKind.GRID)
    return (Source(name="grid", kind=SourceKind.GRID, watts=limit), *others) if limit > 0 else others


def _locked(settings: Settings, site: Site) -> Any:
    lockouts = Switches(settings.data).lockouts()

    def locked(node: AssetId) -> bool:
        return bool(locks(lockouts, frozenset({node, *site.graph.upstream(node)})))

    return locked


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _moment(seconds_: float) -> str:
    """Seconds from the moment at which the relief is wanted."""
    return f"{round(seconds_):+d} s"


def _show(answer: Answer) -> None:
    """Tables for people; what is missing last, where it is read."""
    made, place = answer.plan, answer.wish.place
    if answer.dispatch is not None:
        rows = [[each.source.name, in_words(each.watts), each.bound] for each in answer.dispatch.shares]
        print(table(["SOURCE", "CARRIES", "BOUND BY"], rows), end="\n\n")
    steps = [
        [
            _moment(order.order_at), order.step.what, order.step.rung.name,
            in_words(order.step.relief.get(place, 0.0)), f"{order.step.lost_gpu_seconds:,.0f}",
            "a person" if order.step.rung.approval else "",
        ]
        for order in answer.schedule.orders
    ]  # fmt: skip
    if steps:
        print(f"stop admissions at {_moment(answer.schedule.admissions_stop_at)}, then:")
        print(
            table(["ORDER AT", "WHAT", "STEP", f"RELIEF AT {place.upper()}", "GPU-SECONDS LOST", "ALLOWED BY"], steps)
        )
    wanted = ", ".join(f"{in_words(amount)} at {name}" for name, amount in sorted(made.need.items()) if amount > 0)
    given = in_words(made.relief.get(place, 0.0))
    print(f"\nwanted {wanted or 'nothing'}; given {given} at {place} for {made.lost_gpu_seconds:,.0f} GPU-seconds,")
    print(f"complete {_moment(answer.schedule.complete_at)} from {_clock(answer.wanted_at)}")
    if answer.reading.blind:
        print(f"{len(answer.reading.blind)} nodes without fresh outlet readings count for no relief")
    if not made.optimal:
        print("the search was cut short: something cheaper may exist")
    for name, missing in made.unmet.items():
        print(
            f"MISSING {in_words(missing)} at {name}: all that may be taken is not enough; try: more supply, or a smaller target"
        )

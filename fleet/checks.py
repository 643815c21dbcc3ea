"""What a site file must hold to be loaded beyond the shape of its entries: references, zones, outlets, the power tree."""

from collections.abc import Iterable, Iterator, Mapping

from fleet.assets import Kind
from fleet.document import Document, Loc
from fleet.errors import Problem
from fleet.names import NODES, Names
from fleet.nearest import nearest
from fleet.ranges import BadRange, expand
from fleet.walk import Item, root_of

FEEDERS = frozenset({Kind.GRID_SUPPLY, Kind.GENERATOR_STRING, Kind.BESS, Kind.SUBSTATION, Kind.BUSBAR})
POWERED_FROM = FEEDERS | {Kind.PDU}
ANYTHING = frozenset(Kind)

REFERENCES: tuple[tuple[tuple[str, ...], str, frozenset[Kind]], ...] = (
    (("power", "substations"), "fed_by", FEEDERS),
    (("power", "busbars"), "fed_by", FEEDERS),
    (("power", "pdus"), "fed_by", FEEDERS),
    (("power", "pdus"), "rack", frozenset({Kind.RACK})),
    (("cooling", "cdus"), "fed_by", POWERED_FROM),
    (("cooling", "cracs"), "fed_by", POWERED_FROM),
    (("cooling", "cracs"), "rows", frozenset({Kind.ROW})),
    (("cooling", "loops"), "cdu", frozenset({Kind.CDU})),
    (("cooling", "loops"), "racks", frozenset({Kind.RACK})),
    (("fabric", "switches"), "fed_by", POWERED_FROM),
    ((), "protected", ANYTHING),
)
"""Entries, the key in them that names other assets, and what kinds it may name."""

PLUGS = ((("power", "pdus"), "outlets", "outlet"), (("fabric", "switches"), "ports", "port"))
"""Devices with numbered places that a node is plugged into."""


def check_references(document: Document, names: Names) -> Iterator[Problem]:
    """Names of assets that do not exist, or are of another kind than they must be; groups of credentials likewise."""
    root = root_of(document.data)
    for path, key, kinds in REFERENCES:
        for item in root.under(*path):
            for loc, name in item.texts(key):
                yield from _reference(document, names, loc, name, kinds)
    for path, plural, _ in PLUGS:
        for plug in root.under(*path, plural):
            for node in _expanded(plug.text("node")):
                yield from _reference(document, names, plug.at("node"), node, frozenset({Kind.NODE}))
    yield from _check_groups(document, root)


def check_zones(document: Document) -> Iterator[Problem]:
    """A zone number that two rows share; a zone that polls something and is no row's."""
    root = root_of(document.data)
    rows: dict[int, Loc] = {}
    for row in root.under("halls", "rows"):
        zone = row.data.get("zone")
        if not isinstance(zone, int) or isinstance(zone, bool):
            continue
        if zone in rows:
            line = document.problem(rows[zone], "").line
            message = f"zone {zone} is taken, by the row in line {line}"
            yield document.problem(row.at("zone"), message, f"{max(rows) + 1}, a number that no row ever had")
        rows.setdefault(zone, row.at("zone"))
    polled = [("power", "bess"), ("cooling", "cdus"), ("fabric", "switches"), ("schedulers",)]
    for item in (item for path in polled for item in root.under(*path)):
        zone = item.number("zone")
        if zone is not None and rows and zone not in rows:
            known = ", ".join(str(number) for number in sorted(rows)[:10])
            yield document.problem(item.at("zone"), f"no row has zone {zone:g}", f"one of {known}")


def check_plugs(document: Document) -> Iterator[Problem]:
    """An outlet or port given twice on its device, ranges of unequal length, a power supply on two outlets."""
    root = root_of(document.data)
    supplies: dict[tuple[str, str], Loc] = {}
    for path, plural, key in PLUGS:
        for device in root.under(*path):
            taken: dict[str, Loc] = {}
            for plug in device.under(plural):
                slots = tuple(_slots(plug.data.get(key)))
                nodes = tuple(_expanded(plug.text("node")))
                yield from _plug_ranges(document, plug, key, slots, nodes)
                for slot in slots:
                    if slot in taken:
                        message = f"{key} {slot} is taken, in line {document.problem(taken[slot], '').line}"
                        yield document.problem(plug.at(key), message, "another number")
                    taken.setdefault(slot, plug.at(key))
                if plural == "outlets":
                    yield from _check_supply(document, device, plug, nodes, supplies)


def check_power_tree(document: Document) -> Iterator[Problem]:
    """A feeder that in the end feeds itself."""
    feeders: dict[str, list[str]] = {}
    places: dict[str, Loc] = {}
    for path, key, _ in REFERENCES:
        for item in root_of(document.data).under(*path) if key == "fed_by" else ():
            name = item.text("name")
            if name is not None:
                feeders[name] = [feeder for _, feeder in item.texts(key)]
                places[name] = item.at(key)
    for cycle in _cycles(feeders):
        around = " ← ".join([*cycle, cycle[0]])
        yield document.problem(
            places[cycle[0]], f"the power tree runs in a circle: {around}", "feeding one from outside"
        )


def check_numbers(document: Document) -> Iterator[Problem]:
    """Numbers that contradict each other: idle above maximum, a phase that its PDU lacks, a slow protective meter."""
    root = root_of(document.data)
    for node in root.under(*NODES):
        idle, most = node.number("idle_watts"), node.number("max_watts")
        if idle is not None and most is not None and idle > most:
            yield document.problem(
                node.at("idle_watts"), f"idles at {idle:g} W above its {most:g} W maximum", f"below {most:g}"
            )
    for pdu in root.under("power", "pdus"):
        for outlet in pdu.under("outlets"):
            phase = outlet.number("phase")
            if pdu.number("phases") == 1 and phase is not None and phase > 1:
                yield document.problem(outlet.at("phase"), f"phase {phase:g} on a single-phase PDU", "1")
    for path in (("power", "pdus"), ("cooling", "cdus")):
        for meter in root.under(*path):
            refresh = meter.number("refresh_seconds")
            if meter.data.get("protective") is True and refresh is not None and refresh > PROTECTIVE_REFRESH_SECONDS:
                message = f"a meter that refreshes every {refresh:g} s cannot serve the protective lane"
                yield document.problem(
                    meter.at("refresh_seconds"), message, "a meter of 2 s or faster, or protective: false"
                )


PROTECTIVE_REFRESH_SECONDS = 2.0
"""The protective lane decides within seconds (overload bands act in 1 to 3 s); an older value is no evidence there."""


def _reference(document: Document, names: Names, loc: Loc, name: str, kinds: frozenset[Kind]) -> Iterator[Problem]:
    kind = names.kinds.get(name)
    if kind in kinds or (kind is None and Kind.NODE in kinds and not names.complete):
        return
    wanted = (
        "an asset" if kinds == ANYTHING else "a " + " or ".join(sorted(str(kind).replace("_", " ") for kind in kinds))
    )
    what = f"{name!r} does not exist" if kind is None else f"{name!r} is a {kind}"
    candidates = names.of_kinds(kinds)
    near = nearest(name, candidates) or (candidates[0] if candidates and kind is not None else None)
    yield document.problem(loc, f"{what}, must name {wanted}", f"{near!r}" if near else "adding it to this file")


def _check_groups(document: Document, root: Item) -> Iterator[Problem]:
    """Groups of credentials that endpoints use, by name or by default, and that the file does not hold."""
    groups = root.data.get("credentials")
    known = list(groups) if isinstance(groups, dict) else []
    for item, default in _credentialed(root):
        group = item.text("credentials") or default
        if group is None or group in known:
            continue
        loc = item.at("credentials") if "credentials" in item.data else item.loc
        near = nearest(group, sorted(known))
        suggestion = f"{near!r}" if near else f"credentials: {{{group}: {{read: file:…, write: file:…}}}} at the top"
        yield document.problem(loc, f"no credentials group {group!r}", suggestion)


def _credentialed(root: Item) -> Iterator[tuple[Item, str | None]]:
    """Everything that may name a group, with the group that it takes where it names none."""
    defaults: Mapping[tuple[str, ...], str | None] = {
        (*NODES, "bmc"): "bmc",
        (*NODES, "agent"): "agent",
        (*NODES, "exporters"): None,
        (*NODES, "redfish"): "redfish",
        ("power", "pdus"): "pdu",
        ("schedulers",): "kubernetes",
    }
    for path, default in defaults.items():
        for item in root.under(*path):
            yield item, default


def _plug_ranges(
    document: Document, plug: Item, key: str, slots: tuple[str, ...], nodes: tuple[str, ...]
) -> Iterator[Problem]:
    if slots and nodes and len(slots) != len(nodes):
        message = f"{len(slots)} {key}(s) for {len(nodes)} node(s)"
        yield document.problem(plug.at(key), message, "ranges of the same length")
    for broken_key, found in ((key, slots), ("node", nodes)):
        text = plug.text(broken_key)
        if text is not None and not found:
            yield document.problem(plug.at(broken_key), "is not a range", "[1-4] and dgx-[001-004]")


def _check_supply(
    document: Document, pdu: Item, plug: Item, nodes: tuple[str, ...], supplies: dict[tuple[str, str], Loc]
) -> Iterator[Problem]:
    supply = plug.text("supply")
    for node in nodes if supply is not None else ():
        first = supplies.setdefault((node, str(supply)), plug.loc)
        if first is not plug.loc:
            line = document.problem(first, "").line
            message = f"{supply} of {node} is plugged in twice, also in line {line}"
            yield document.problem(plug.at("supply"), message, f"another supply of {node} on {pdu.text('name')}")


def _slots(value: object) -> Iterable[str]:
    """The outlets or ports that a value names."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    return _expanded(value if isinstance(value, str) else None)


def _expanded(text: str | None) -> tuple[str, ...]:
    """The names of a range; none where there is no text or it is no range."""
    try:
        return expand(text) if text else ()
    except BadRange:
        return ()


def _cycles(feeders: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Each circle among feeders once (depth first; a name on the open path closes one)."""
    done: set[str] = set()
    for start in feeders:
        path: list[str] = []
        pending: list[tuple[str, int]] = [(start, 0)]
        while pending:
            name, depth = pending.pop()
            del path[depth:]
            if name in path:
                yield path[path.index(name) :]
                continue
            if name in done:
                continue
            path.append(name)
            pending.extend((feeder, depth + 1) for feeder in feeders.get(name, ()) if feeder in feeders)
            done.add(name)

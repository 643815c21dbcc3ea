"""Every name that a site file gives, what it names, and what is wrong with the names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fleet.assets import Kind
from fleet.document import Document, Loc
from fleet.errors import Problem
from fleet.ranges import NAME, BadRange, expand
from fleet.walk import Item, root_of

COLLECTIONS: Mapping[tuple[str, ...], Kind] = {
    ("halls",): Kind.HALL,
    ("halls", "rows"): Kind.ROW,
    ("halls", "rows", "racks"): Kind.RACK,
    ("power", "grid_supplies"): Kind.GRID_SUPPLY,
    ("power", "generator_strings"): Kind.GENERATOR_STRING,
    ("power", "bess"): Kind.BESS,
    ("power", "substations"): Kind.SUBSTATION,
    ("power", "busbars"): Kind.BUSBAR,
    ("power", "pdus"): Kind.PDU,
    ("cooling", "cdus"): Kind.CDU,
    ("cooling", "loops"): Kind.LOOP,
    ("cooling", "cracs"): Kind.CRAC,
    ("fabric", "switches"): Kind.SWITCH,
    ("schedulers",): Kind.SCHEDULER,
}
NODES = ("halls", "rows", "racks", "nodes")


@dataclass(slots=True, kw_only=True)
class Names:
    """What is named in a file: each name once, with its kind and place."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    places: dict[str, Loc] = field(default_factory=dict)
    nodes_of: dict[Loc, tuple[str, ...]] = field(default_factory=dict)
    """By the place of an entry under `nodes`: the names that it stands for."""
    complete: bool = True
    """False where a range could not be read: then a name that is missing proves nothing."""
    problems: list[Problem] = field(default_factory=list)

    sorted_by_kinds: dict[frozenset[Kind], list[str]] = field(default_factory=dict)

    def of_kinds(self, kinds: frozenset[Kind]) -> list[str]:
        """The names of some kinds, sorted; made once when all names are known."""
        if kinds not in self.sorted_by_kinds:
            self.sorted_by_kinds[kinds] = sorted(name for name, kind in self.kinds.items() if kind in kinds)
        return self.sorted_by_kinds[kinds]


def collect_names(document: Document) -> Names:
    """Every name of the file; names used twice and ranges that cannot be read are its problems."""
    names = Names()
    root = root_of(document.data)
    for loc, name, kind in _named(root, document, names):
        first = names.places.get(name)
        if first is not None:
            line = document.problem(first, "").line
            message = f"the name {name!r} is taken, by the {names.kinds[name]} in line {line}"
            names.problems.append(document.problem(loc, message, "a name that is used once in the whole site"))
            continue
        names.kinds[name] = kind
        names.places[name] = loc
    return names


def _named(root: Item, document: Document, names: Names) -> Iterator[tuple[Loc, str, Kind]]:
    site = root.text("site")
    if site is not None:
        yield ("site",), site, Kind.SITE
    for path, kind in COLLECTIONS.items():
        for item in root.under(*path):
            name = item.text("name")
            if name is not None:
                yield item.at("name"), name, kind
    for node in root.under(*NODES):
        found, loc = _node_names(node, document, names)
        names.nodes_of[node.loc] = found
        for name in found:
            yield loc, name, Kind.NODE


def _node_names(node: Item, document: Document, names: Names) -> tuple[tuple[str, ...], Loc]:
    """The names of one entry under `nodes`; what is wrong with them is noted."""
    single, several = node.text("name"), node.text("names")
    if (single is None) == (several is None):
        if "name" not in node.data and "names" not in node.data:
            names.problems.append(document.problem(node.loc, "has no name", "name: dgx-001, or names: dgx-[001-004]"))
        elif single is not None:
            names.problems.append(
                document.problem(node.at("names"), "name and names exclude each other", "one of them")
            )
        names.complete = False
        return (), node.loc
    if single is not None:
        return (single,), node.at("name")
    try:
        found = expand(str(several))
    except BadRange as fault:
        names.problems.append(document.problem(node.at("names"), fault.message, fault.suggestion))
        names.complete = False
        return (), node.at("names")
    wrong = [name for name in found if not NAME.match(name)]
    if wrong:
        message = f"{wrong[0][:70]!r} cannot be a name"
        names.problems.append(document.problem(node.at("names"), message, "letters, digits, dots, dashes, underscores"))
        names.complete = False
    return found, node.at("names")

"""What a scenario file may say. All times are virtual seconds after the first moment of the scenario, the warm-up apart."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fleet.entry import Entry, Several, SomeOf, wrong
from fleet.ranges import BadRange, expand

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Asset = Annotated[str, Field(min_length=1, max_length=64)]
"""A node, rack, row, PDU, CDU, leaf, busbar, substation, source, job (`namespace/name`) or scheduler of the site."""


def _expanded(names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(one for name in names for one in expand(name))
    except BadRange as error:
        raise wrong(str(error), "a range such as dgx-[001-008]") from None


Assets = Annotated[Several[Asset], AfterValidator(_expanded)]
"""Names, or ranges such as `dgx-[001-008]`."""
SomeAssets = Annotated[SomeOf[Asset], AfterValidator(_expanded)]
Text = Annotated[str, Field(min_length=1, max_length=400)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Count = Annotated[int, Field(ge=0, le=100_000)]
Verb = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
"""An act by the product's name for it."""
RuleName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{2,80}$")]
Setting = int | float | str | bool


class Plate(Entry):
    """The lumped model of one GPU on its cold plate."""

    die_joules_per_kelvin: Annotated[float, Field(ge=100, le=2_000)] = 450.0
    """Heat that die and plate take up."""
    trapped_kilograms: Annotated[float, Field(ge=0.01, le=2)] = 0.15
    """Coolant in the plate."""


class SiteSize(Entry):
    """The simulated site."""

    nodes: Annotated[int, Field(ge=4, le=2_000)] = 64
    """How many nodes."""
    racks: Annotated[int, Field(ge=1, le=500)] = 16
    """Over how many racks, evenly."""
    racks_per_row: Annotated[int, Field(ge=1, le=32)] = 4
    """How many racks share a row, its CDU and its leaf switch."""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    """Of the plant's noise."""
    coolant_celsius: Annotated[float, Field(ge=15, le=50)] = 36.0
    """Supply set point of the CDUs."""
    plate: Plate = Plate()
    """Cold plates; the default is the middle of the reference's table."""
    standby_pumps: bool = False
    """Whether a CDU's second pump waits for the first to fail; else both run, each for 65 % of the flow alone."""
    generator_watts: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Rating of each of four generator strings; 8 MW where left out."""
    grid_watts: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """What each of two grid supplies and its substation carries; 50 MW where left out."""
    bess_watts: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Rating of the battery; 25 MW where left out."""
    bess_watt_hours: Annotated[float, Field(gt=0, le=1e11)] | None = None
    """Capacity of the battery; 100 MWh where left out."""
    bess_charge: Annotated[float, Field(ge=0, le=1)] = 0.83
    """Its state of charge at the start."""
    island: bool = False
    """Whether the site starts without any grid, its generator strings running."""


class Happening(Entry):
    """One fault: what breaks, where, from when to when."""

    fault: Name
    """Kind of fault; the reference page of scenarios lists them."""
    targets: SomeAssets
    """Where; a rack or a row stands for its nodes where the fault is one of nodes."""
    at: Seconds = 0.0
    """When it begins."""
    until: Seconds | None = None
    """When it heals by itself; never where left out."""
    apart_seconds: Seconds = 0.0
    """The first target is struck at `at`, each next one so much later."""
    settings: Mapping[Annotated[str, Field(max_length=40)], Setting] = {}
    """The fault's own arguments."""


class ExpectedAlert(Entry):
    """An alert that must fire in time."""

    rule: SomeOf[RuleName]
    """Any one of these rules."""
    asset: Asset | None = None
    """The asset that it must be about; any where left out."""
    within_seconds: Seconds
    """At the latest so long after `after`."""
    after: Seconds = 0.0
    """The moment from which time counts."""


class Between(Entry):
    """How many there must be."""

    at_least: Count = 0
    """No fewer."""
    at_most: Count | None = None
    """No more; any number where left out."""


class Expect(Entry):
    """What the product must say."""

    alerts: Several[ExpectedAlert] = ()
    """Alerts that must fire."""
    incidents: Between = Between(at_least=1, at_most=1)
    """Incidents opened that are not folded into another by the end; one where left out."""
    pages: Between | None = None
    """Pages sent to people; unjudged where left out."""
    unknown: Assets = ()
    """Assets of which the product must say that it does not know, rather than that they are dead."""


class ExpectedAction(Entry):
    """An act that must be executed in time."""

    verbs: SomeOf[Verb]
    """Any one of these."""
    assets: Assets = ()
    """On each of these; a rack, row, PDU or CDU stands for its nodes. Any asset where left out."""
    at_least: Annotated[int, Field(ge=1, le=100_000)] = 1
    """On so many assets of those; on all where `every` is set."""
    every: bool = False
    """On every asset named."""
    within_seconds: Seconds
    """The last of them, after `after`."""
    first_within_seconds: Seconds | None = None
    """The first of them."""
    p90_seconds: Seconds | None = None
    """Nine of ten of them."""
    after: Seconds = 0.0
    """The moment from which time counts."""


class Forbidden(Entry):
    """Acts that must not be executed, or not more often."""

    verbs: SomeOf[Verb]
    """These; `any` stands for every verb, `power` for all that switch power."""
    assets: Assets = ()
    """On any of these; everywhere where left out."""
    but: Assets = ()
    """Except on these."""
    more_than: Count = 0
    """So many are allowed."""
    at: Seconds = 0.0
    """From then on."""
    until: Seconds | None = None
    """Up to then."""
    because: Text
    """Why not."""


class Bound(Entry):
    """A physical limit, judged by the plant itself at every step."""

    quantity: Name
    """What is measured, in the plant's truth; the reference page of scenarios lists them."""
    assets: Assets = ()
    """Of these; of all where left out."""
    at_most: float | None = None
    """Never above."""
    at_least: float | None = None
    """Never below."""
    below: float | None = None
    """Never at or above."""
    at: Seconds = 0.0
    """From then on."""
    until: Seconds | None = None
    """Up to then."""


class Person(Entry):
    """Something that people do while it happens."""

    at: Seconds
    """When."""
    does: Literal[
        "approve", "refuse", "acknowledge", "grant", "maintenance-begins", "maintenance-ends", "stop", "resume"
    ]
    """What. `grant` is what people of the facility do when they are asked: isolate a rack, stop or start strings."""
    about: Assets = ()
    """Which assets; for approvals every open request where left out."""
    verbs: Several[Verb] = ()
    """Approves only acts of these verbs."""
    who: SomeOf[Name] = ("operator-1",)
    """By name; two for acts that need two."""


class Scenario(Entry):
    """One scenario, or one variant of it with its parent's values where it says nothing."""

    scenario: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}(/[a-z0-9][a-z0-9-]{0,62})?$")]
    """Its name; that of a variant is its file's, a slash and its own."""
    number: Annotated[int, Field(ge=1, le=99)]
    """In the catalogue of scenarios."""
    purpose: Text
    """One sentence: what happens and what must follow."""
    site: SiteSize = SiteSize()
    """What site it happens on."""
    warm_up_seconds: Seconds = 30.0
    """How long everything runs undisturbed before the first moment."""
    seconds: Annotated[float, Field(gt=0, le=172_800)]
    """How long it goes on after the first moment."""
    live: bool = False
    """Whether it is short enough to be run over the real protocols too."""
    faults: Several[Happening] = ()
    """What goes wrong."""
    people: Several[Person] = ()
    """What people do."""
    expect: Expect = Expect()
    """What the product must say."""
    expect_action: Several[ExpectedAction] = ()
    """What it must do."""
    forbid: Several[Forbidden] = ()
    """What it must not do."""
    bounds: Several[Bound] = ()
    """What the plant must not reach, with the product."""
    bites: Several[Bound] = ()
    """What the plant does reach when nobody acts: each of these bounds is then broken."""


class Variant(Entry):
    """A variant: each key that it has stands in place of its file's."""

    variant: Name
    """Its own name."""
    purpose: Text
    """What is different."""
    site: SiteSize | None = None
    warm_up_seconds: Seconds | None = None
    seconds: Annotated[float, Field(gt=0, le=172_800)] | None = None
    live: bool | None = None
    faults: Several[Happening] | None = None
    people: Several[Person] | None = None
    expect: Expect | None = None
    expect_action: Several[ExpectedAction] | None = None
    forbid: Several[Forbidden] | None = None
    bounds: Several[Bound] | None = None
    bites: Several[Bound] | None = None


class ScenarioFile(Scenario):
    """A whole file."""

    scenario: Name
    """Its name, that of the file without `.yaml`."""
    variants: Several[Variant] = ()
    """Further ways in which it may happen."""

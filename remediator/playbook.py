"""What a playbook says: which alerts it answers, which steps it takes, how far it may go. Data; strict when it is read."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fleet.faults import Action
from fleet.model import Domain, Kind
from remediator.verbs import TRAITS, ActionClass, Cause, Lane, Mode, Verb


class Condition(StrEnum):
    """What a step may wait for; each is a pure function in `conditions.py`."""

    REPLACEMENT_RUNNING = "replacement_running"
    STAYS_ON = "stays_on"
    NEW_BOOT = "new_boot"
    NODE_READY = "node_ready"
    ALL_GPUS = "all_gpus"
    BMC_ANSWERS = "bmc_answers"
    ALERT_CLEAR = "alert_clear"
    """The alert that asked for the remedy does not fire any more."""
    REST = "rest"
    """Nothing but time: `within_seconds` of it, and then it holds."""


class Otherwise(StrEnum):
    """What to do when a step fails or its time is over."""

    ESCALATE = "escalate"
    NEXT_RUNG = "next_rung"
    CONTINUE = "continue"
    """For waits, for acts on each of several, and for what only tells people: the next step has its own gate."""


class Each(StrEnum):
    """A step that is one intent for each of these."""

    PODS = "pods"
    JOBS = "jobs"
    NODES = "nodes"
    """Every node at or below the target."""
    OUTLETS = "outlets"
    """Every outlet of the node, on both feeds."""
    COOLERS = "coolers"
    """The cooling unit that the target is, or those that cool it."""


class OnClear(StrEnum):
    """What is done when the alert ends by itself after something was done."""

    GIVE_BACK = "give_back"
    """The node is given back; what was not begun is not begun."""
    GO_ON = "go_on"
    """That was the purpose: the steps go on to their end."""


class Ends(StrEnum):
    """What the last step of a rung means."""

    HEALED = "healed"
    HANDED_OVER = "handed_over"
    """A person has it from here."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]


class Step(_Strict):
    """One step: an act or a wait."""

    name: Name
    act: Verb | None = None
    wait: Condition | None = None
    each: Each | None = None
    within_seconds: Seconds = 30
    """For an act: how long its proof may take, at least the asset's effect latency. For a wait: how long at most."""
    tries: Annotated[int, Field(ge=1, le=5)] = 2
    otherwise: Otherwise = Otherwise.ESCALATE
    undoes: Name | None = None
    """The step that it takes back: left out where that one changed nothing, because a person had done it before."""
    arguments: Annotated[Mapping[str, str | float | int | bool], Field(alias="with")] = {}
    """What the verb needs beside its object: `watts` of a cap, `text` of a page."""
    gives_back: bool = False
    """It takes an earlier limit away: load comes back, so headroom is asked, and no breaker blocks it."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        if (self.act is None) == (self.wait is None):
            raise ValueError("a step has either `act` or `wait`")
        tells = self.act is not None and TRAITS[self.act].class_ is ActionClass.A0
        if self.act is not None and self.otherwise is Otherwise.CONTINUE and self.each is None and not tells:
            raise ValueError("an act that failed satisfies nothing: `otherwise: continue` is for waits")
        if self.wait is not None and (self.arguments or self.each is not None):
            raise ValueError("a wait has neither `with` nor `each`")
        return self


class Use(_Strict):
    """A piece of another file, put in here."""

    use: Name


class Rung(_Strict):
    """One rung of the ladder."""

    rung: Name
    of: Name | None = None
    """The playbook that it comes from, where that one follows (`then`)."""
    otherwise: Otherwise = Otherwise.ESCALATE
    """For its steps that say nothing themselves."""
    reversible: bool = False
    """What it does can be taken back and ends no job: such rungs come first."""
    seconds: Seconds = 600
    """How long the GPUs that it takes are out (default to tune; counts for the price)."""
    success: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """How often it helps, until this site has measured it on this hardware (default to tune)."""
    after: tuple[Name, ...] = ()
    """Only once each of these was tried."""
    actions: tuple[Action, ...] = ()
    """What fault tables may ask for that begins here: weaker rungs are left out."""
    ends: Ends = Ends.HEALED
    asks: bool = False
    """A person must agree to it, in mode enforce too."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=40)]

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, given: Any) -> Any:
        """Steps that say nothing about failure fail as the rung says."""
        if not isinstance(given, dict) or "otherwise" not in given or not isinstance(given.get("steps"), list):
            return given
        word = given["otherwise"]
        steps = [
            {**step, "otherwise": word} if isinstance(step, dict) and "otherwise" not in step else step
            for step in given["steps"]
        ]
        return {**given, "steps": steps}

    @model_validator(mode="after")
    def _names(self) -> "Rung":
        names = [step.name for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two steps are named {name!r}")
        for place, step in enumerate(self.steps):
            if step.undoes is not None and step.undoes not in names[:place]:
                raise ValueError(f"step {step.name!r} undoes {step.undoes!r}, which is no earlier step of this rung")
        return self


class Shed(_Strict):
    """How a phase over its limit is relieved and given back; shares are of the rated amperes."""

    act_at: Annotated[float, Field(gt=0.5, le=1.2)] = 0.99
    act_after_seconds: Seconds = 2
    target: Annotated[float, Field(gt=0.5, le=1)] = 0.95
    release_below: Annotated[float, Field(gt=0.3, lt=1)] = 0.90
    release_after_seconds: Seconds = 120
    release_step_seconds: Seconds = 60
    margin: Annotated[float, Field(ge=1, le=2)] = 1.1
    """What is shed against what is needed."""
    caps_watts: Annotated[tuple[float, ...], Field(min_length=1)] = (400.0, 300.0, 200.0)
    """Absolute limits a GPU, one step each."""
    cap_tiers: tuple[str, ...] = ("T5", "T4", "T3", "T2", "T1")
    """Which priorities are capped, in this order; a job without one counts as T3."""
    suspend_tiers: tuple[str, ...] = ("T4", "T3")
    outlets: bool = True
    """Whether outlets of hosts that are off already may follow, under a pre-armed policy."""

    @model_validator(mode="after")
    def _bands(self) -> "Shed":
        if not self.release_below < self.target < self.act_at:
            raise ValueError("the three bands must be release_below < target < act_at")
        if list(self.caps_watts) != sorted(self.caps_watts, reverse=True) or self.caps_watts[-1] < 100:
            raise ValueError("caps_watts fall from step to step and none is below 100 W")
        if "T0" in self.cap_tiers or {"T0", "T1"} & set(self.suspend_tiers):
            raise ValueError("T0 is never capped, T0 and T1 are never suspended")
        return self


class FaultKind(StrEnum):
    """Whose table of codes decides."""

    XID = "xid"
    SXID = "sxid"
    DCGM = "dcgm"


class Playbook(_Strict):
    """One playbook as its file says it is."""

    playbook: Name
    purpose: Annotated[str, Field(min_length=10, max_length=400)]
    lane: Lane
    cause: Cause
    mode: Mode = Mode.OBSERVE
    ceiling: Mode = Mode.ENFORCE
    """Never further than this, whatever the settings say: `approve` where a person must always agree."""
    code: Annotated[str, Field(pattern=r"^P-[A-Z]{2,6}$")] | None = None
    """Its name in the reference."""
    rules: tuple[str, ...] = ()
    targets: Annotated[tuple[Kind, ...], Field(min_length=1)] = (Kind.NODE,)
    """What it can be done to; an alert about anything else is a person's."""
    faults: Mapping[FaultKind, Mapping[str, str]] = {}
    """By kind of fault: rules whose code decides, with the code where no label has it. It answers them when the tables of
    faults ask for one of its `actions`."""
    actions: tuple[Action, ...] = ()
    on_clear: OnClear = OnClear.GIVE_BACK
    hold_down_seconds: Annotated[float, Field(ge=0, le=3600)] = 5
    cool_down_seconds: Annotated[float, Field(ge=0, le=86_400)] = 900
    approval_ttl_seconds: Seconds = 900
    page_after_refused_seconds: Seconds = 60
    ladder: tuple[Rung, ...] = ()
    shed: Shed | None = None

    @model_validator(mode="after")
    def _rungs(self) -> "Playbook":
        names = [rung.rung for rung in self.ladder]
        for place, rung in enumerate(self.ladder):
            if rung.rung in names[:place]:
                raise ValueError(f"two rungs are named {rung.rung!r}")
            unknown = [name for name in rung.after if name not in names or name == rung.rung]
            if unknown:
                raise ValueError(f"rung {rung.rung!r} comes after {unknown[0]!r}, which is no other rung")
        if bool(self.faults) != bool(self.actions):
            raise ValueError("`faults` (rules whose code decides) and `actions` (what codes ask for) go together")
        return self

    @model_validator(mode="after")
    def _one_place(self) -> "Playbook":
        """A remediation takes one place in its domains: one machine, or with class A4 one rack, and never more."""
        for step in (step for rung in self.ladder for step in rung.steps):
            if step.act is None:
                continue
            traits = TRAITS[step.act]
            if traits.class_ is ActionClass.A4 and self.targets != (Kind.RACK,):
                raise ValueError(f"step {step.name!r} switches a whole rack, so `targets` must be [rack]")
            if step.each is Each.NODES and traits.cuts and traits.class_ is not ActionClass.A4:
                raise ValueError(f"step {step.name!r} cuts every node below its target: a remediation may cut one")
        return self

    @model_validator(mode="after")
    def _complete(self) -> "Playbook":
        if self.lane is Lane.PROTECTIVE and (self.shed is None or self.ladder):
            raise ValueError("a protective playbook has `shed` and no ladder")
        if self.lane is Lane.CORRECTIVE and (not self.ladder or self.shed is not None):
            raise ValueError("a corrective playbook has a ladder and no `shed`")
        return self


class PlaybookModes(BaseModel):
    """What the settings say about one playbook."""

    default: Mode | None = None
    domains: Mapping[str, Mode] = {}


_RANK = {Mode.OBSERVE: 0, Mode.APPROVE: 1, Mode.ENFORCE: 2}


def mode_for(
    playbook: Playbook,
    settings: Mapping[str, PlaybookModes],
    domains: Iterable[Domain],
    *,
    may_enforce: bool,
    ours: bool,
) -> Mode:
    """How far a playbook may go for a target: the nearest domain's word, else the default, else its file's.

    Never more than approve without a back-test and a commissioned mapping, or on an alert that our rules did not raise.
    """
    chosen = settings.get(playbook.playbook, PlaybookModes())
    named = [chosen.domains[str(domain.id)] for domain in domains if str(domain.id) in chosen.domains]
    mode = named[0] if named else chosen.default or playbook.mode
    ceiling = Mode.ENFORCE if may_enforce and ours else Mode.APPROVE
    return min(mode, ceiling, playbook.ceiling, key=_RANK.__getitem__)


def answering(playbooks: Sequence[Playbook], rule: str, lane: Lane = Lane.CORRECTIVE) -> Playbook | None:
    """The playbook that answers a rule; the loader has seen to it that there is one at most."""
    return next((book for book in playbooks if rule in book.rules and book.lane is lane), None)

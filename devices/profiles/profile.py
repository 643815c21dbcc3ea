"""The words in which a device family is described: profile, table, point. Data only; no reader and no socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.model import Wire

SIGNAL_SECONDS: Mapping[str, float] = {
    "inlet": 1.0,
    "outlet": 10.0,
    "energy": 60.0,
    "gpu": 1.0,
    "node": 10.0,
    "fabric": 2.0,
    "bmc": 10.0,
    "sel": 30.0,
    "agent": 2.0,
    "cooling": 1.0,
    "bess": 1.0,
    "scheduler": 5.0,
}
"""Default interval of each signal group, seconds; the settings' `intervals` override them. Inlet and phase amperes,
pumps and flow 1 s, outlets 10 s, energy 60 s by design; the others are defaults to tune."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured quantity: where it lies, what it is called, how a raw number becomes base units."""

    metric: str
    column: int = 0
    """Column of an SNMP table, offset of a register in its block; 0 where the wire finds points by name."""

    type: str = ""
    """How the raw value is coded where the wire does not say (Modbus: u16, s16, u32, s32, f32)."""

    scale: float = 1.0
    offset: float = 0.0
    """value = raw * scale + offset."""

    low: float | None = None
    high: float | None = None
    """Plausible range in base units; None leaves it to the register of metrics."""

    absent: tuple[float, ...] = ()
    """Raw values that mean "not available" (APC, Eaton: -1)."""

    states: Mapping[int, float] | None = None
    """Raw state to value; any other raw state is absent. Scale and offset do not apply."""

    labels: tuple[tuple[str, str], ...] = ()
    """Labels every series of this point carries (a fan's name, a detector's number)."""

    signal: str = "inlet"
    """The signal group it is polled with."""

    refresh_seconds: float | None = None
    """How old the value may be inside the device; None means the profile's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLabel:
    """A label of a row that stands in a column of its own (phase number, measurement type)."""

    name: str
    column: int
    names: Mapping[int, str] | None = None
    """Raw value to label value; a row whose raw value is not named is left out. None takes the number as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Points that share rows: an SNMP table, a Modbus block, a page's family."""

    entry: str = ""
    """SNMP: OID of the entry, without column. Modbus: the model or block."""

    index: tuple[str, ...] = ()
    """Label of each sub-identifier of a row's index, in order; "" makes no label."""

    omit: Mapping[str, str] = field(default_factory=dict)
    """Label left out when it has this value (the first strap, the only input): the plain device has plain series."""

    labels: tuple[RowLabel, ...] = ()
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One absolute SET: the OID with `{outlet}` in it and the INTEGER that is written."""

    oid: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """How an outlet is commanded and where its state is read back; no two families share these numbers."""

    off: Switch
    on: Switch
    state_oid: str
    """OID of the state with `{outlet}` in it."""

    states: Mapping[int, str]
    """Raw state to "on", "off", "pending_on" or "pending_off"; anything else is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one device family says, how often it is worth asking, and how it is switched."""

    name: str
    wire: Wire
    tables: tuple[Table, ...] = ()
    sys_object_id: str = ""
    """Prefix of sysObjectID.0 by which the family is recognised (SNMP)."""

    refresh_seconds: float = 1.0
    """How old a value may be inside the device unless its point says otherwise."""

    effect_latency_seconds: float = 90.0
    """Longest time from an accepted command to a state that shows it."""

    max_repetitions: int = 25
    """GETBULK rows an answer; some agents die on more."""

    switching: Switching | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    """Signal group to default interval in seconds, where it is not that of `SIGNAL_SECONDS`."""

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(point for table in self.tables for point in table.points)

    def intervals(self) -> Mapping[str, float]:
        """Every signal group of this family with its default interval in seconds."""
        groups = {point.signal for point in self.points} | set(self.signals)
        return {name: self.signals.get(name, SIGNAL_SECONDS[name]) for name in sorted(groups)}

    def refresh_of(self, metric: str) -> float:
        """How old a value of `metric` may be inside the device, in seconds."""
        for point in self.points:
            if point.metric == metric and point.refresh_seconds is not None:
                return point.refresh_seconds
        return self.refresh_seconds

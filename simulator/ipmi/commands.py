"""What a BMC does with each command: the table from network function and command to an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.instruments import seen
from simulator.ipmi import deeds
from simulator.ipmi.fru import inventory
from simulator.ipmi.sensors import REPOSITORY, WATCHDOG_NUMBER, reading
from simulator.ipmi.sessions import PRIVILEGE_OPERATOR, PRIVILEGE_USER, Session
from simulator.machines import NodeState
from simulator.plant import Plant

CHASSIS, SENSOR, APP, STORAGE, GROUP = 0x00, 0x04, 0x06, 0x0A, 0x2C
OK, INVALID_COMMAND, RESERVATION, OUT_OF_RANGE, WRONG_LENGTH, NOT_PRESENT, INVALID_FIELD, PRIVILEGE = (
    0x00,
    0xC1,
    0xC5,
    0xC9,
    0xC7,
    0xCB,
    0xCC,
    0xD4,
)
DCMI = 0xDC
CONTROL_VERBS = {
    0: "power_off",
    1: "power_on",
    2: "power_cycle",
    3: "hard_reset",
    4: "diagnostic_interrupt",
    5: "soft_shutdown",
}
CHANGING = {
    (CHASSIS, 0x04): "identify", (CHASSIS, 0x06): "set_power_restore_policy", (CHASSIS, 0x08): "set_boot_options",
    (APP, 0x03): "warm_reset", (APP, 0x22): "reset_watchdog", (APP, 0x24): "set_watchdog",
    (APP, 0x43): "set_user_access", (APP, 0x45): "set_user_name", (APP, 0x47): "set_user_password",
    (SENSOR, 0x26): "set_sensor_thresholds", (SENSOR, 0x28): "set_sensor_event_enable",
    (STORAGE, 0x12): "write_fru", (STORAGE, 0x44): "add_sel_entry", (STORAGE, 0x47): "clear_sel", (STORAGE, 0x49): "set_sel_time",
}  # fmt: skip
"""Commands that would change something and that this BMC refuses, by name for the log."""
LONGEST_FRU_READ = 64
WHOLE_RECORD = 0xFF

Answer = tuple[int, bytes]
Seen = Callable[[str, Mapping[str, object], bool, bool], None]
"""Writes one state-changing request down: verb, arguments, accepted, executed."""


@dataclass(slots=True)
class Bmc:
    """One BMC's own state, beside the plant's."""

    plant: Plant
    node: int
    guid: bytes
    unix_seconds_at: Callable[[float], float]
    """Wall time of a moment of the plant."""
    lies: Callable[[], bool]
    seen: Seen
    sel_reservation: int = 0
    sdr_reservation: int = 0
    commands: int = field(default=0)
    forget: Callable[[], None] = lambda: None
    """Drops every session: what a restart does."""
    limit_watts: int = 10_200
    limit_active: bool = False
    limit_correction_ms: int = 2_000

    # Chassis ---------------------------------------------------------------------------------------------------------

    def chassis_status(self, _: bytes, __: Session) -> Answer:
        on = self.plant.machines.state[self.node] != NodeState.OFF and not self.lies()
        return OK, bytes((0x20 | on, 0x00, 0x40, 0x00))

    def chassis_control(self, data: bytes, session: Session) -> Answer:
        verb = CONTROL_VERBS.get(data[0] & 0x0F, f"chassis_control_{data[0]}") if data else "chassis_control"
        if session.privilege < PRIVILEGE_OPERATOR:
            return self._refuse(verb, PRIVILEGE, "privilege")
        if len(data) != 1:
            return self._refuse(verb, WRONG_LENGTH, "length")
        if verb == "soft_shutdown":
            return deeds.shut_down(self)
        if verb not in ("power_off", "power_on"):
            return self._refuse(verb, INVALID_FIELD, "only off, on and a graceful end are carried out")
        lied = self.lies()
        self.seen(verb, {}, True, not lied)
        if not lied:
            self.plant.chassis(self.node, on=verb == "power_on")
        return OK, b""

    def _refuse(self, verb: str, code: int, why: str) -> Answer:
        self.seen(verb, {"refused": why, "completion": code}, False, False)
        return code, b""

    # Application -----------------------------------------------------------------------------------------------------

    def device_id(self, _: bytes, __: Session) -> Answer:
        return OK, bytes.fromhex("20 01 02 53 02 8f 47 16 00 01 00 00 00 00 00".replace(" ", ""))

    def system_guid(self, _: bytes, __: Session) -> Answer:
        return OK, self.guid

    def set_privilege(self, data: bytes, session: Session) -> Answer:
        if len(data) != 1:
            return WRONG_LENGTH, b""
        wanted = data[0] & 0x0F
        allowed = min(session.role & 0x0F, session.account.privilege if session.account else PRIVILEGE_USER)
        if wanted == 0:
            return OK, bytes((session.privilege,))
        if wanted > allowed:
            return 0x81, b""
        session.privilege = wanted
        return OK, bytes((wanted,))

    # Sensors ---------------------------------------------------------------------------------------------------------

    def sensor_reading(self, data: bytes, _: Session) -> Answer:
        if len(data) != 1:
            return WRONG_LENGTH, b""
        found = reading(self.plant, self.node, data[0])
        return (NOT_PRESENT, b"") if found is None else (OK, found)

    def power_reading(self, data: bytes, _: Session) -> Answer:
        """DCMI Get Power Reading: now, minimum, maximum, average of the last second, in watts."""
        if len(data) < 2 or data[0] != DCMI or data[1] != 1:
            return INVALID_FIELD, b""
        watts = round(float(seen(self.plant, "node-watts")[self.node]))
        stamp = int(self.unix_seconds())
        return OK, bytes((DCMI,)) + watts.to_bytes(2, "little") * 4 + stamp.to_bytes(4, "little") + (1000).to_bytes(
            4, "little"
        ) + b"\x40"

    def dcmi_capabilities(self, data: bytes, _: Session) -> Answer:
        if len(data) < 2 or data[0] != DCMI:
            return INVALID_FIELD, b""
        return OK, bytes((DCMI, 0x01, 0x05, 0x02, 0x00, 0x01, 0x00))

    def unix_seconds(self) -> float:
        return self.unix_seconds_at(self.plant.now)

    # Inventory -------------------------------------------------------------------------------------------------------

    def fru_area(self, data: bytes, _: Session) -> Answer:
        if data != b"\0":
            return NOT_PRESENT if data else WRONG_LENGTH, b""
        return OK, len(inventory(self.plant.layout.nodes[self.node])).to_bytes(2, "little") + b"\0"

    def read_fru(self, data: bytes, _: Session) -> Answer:
        if len(data) != 4 or data[0] != 0:
            return WRONG_LENGTH if len(data) != 4 else NOT_PRESENT, b""
        whole, offset = inventory(self.plant.layout.nodes[self.node]), int.from_bytes(data[1:3], "little")
        if offset >= len(whole):
            return OUT_OF_RANGE, b""
        part = whole[offset : offset + min(data[3], LONGEST_FRU_READ)]
        return OK, bytes((len(part),)) + part

    # Storage ---------------------------------------------------------------------------------------------------------

    def sdr_status(self, _: bytes, __: Session) -> Answer:
        return OK, bytes((0x51,)) + len(REPOSITORY).to_bytes(2, "little") + b"\xff\xff" + bytes(8) + b"\x02"

    def reserve_sdr(self, _: bytes, __: Session) -> Answer:
        self.sdr_reservation = self.sdr_reservation % 0xFFFF + 1
        return OK, self.sdr_reservation.to_bytes(2, "little")

    def get_sdr(self, data: bytes, _: Session) -> Answer:
        if len(data) != 6:
            return WRONG_LENGTH, b""
        reservation, wanted = int.from_bytes(data[0:2], "little"), int.from_bytes(data[2:4], "little")
        if reservation != self.sdr_reservation and (data[4] or reservation):
            return RESERVATION, b""
        place = {0: 1, 0xFFFF: len(REPOSITORY)}.get(wanted, wanted)
        if not 1 <= place <= len(REPOSITORY):
            return NOT_PRESENT, b""
        record = REPOSITORY[place - 1]
        following = place + 1 if place < len(REPOSITORY) else 0xFFFF
        return self._part(record, data[4], data[5], following)

    @staticmethod
    def _part(record: bytes, offset: int, count: int, following: int) -> Answer:
        if offset > len(record):
            return OUT_OF_RANGE, b""
        part = record[offset:] if count == WHOLE_RECORD else record[offset : offset + count]
        return OK, following.to_bytes(2, "little") + part

    def sel_status(self, _: bytes, __: Session) -> Answer:
        records = self.plant.sel[self.node]
        newest = int(self.unix_seconds_at(records[-1].at_seconds)).to_bytes(4, "little") if records else b"\xff" * 4
        return OK, bytes((0x51,)) + len(records).to_bytes(2, "little") + b"\x00\x40" + newest + b"\xff" * 4 + b"\x02"

    def reserve_sel(self, _: bytes, __: Session) -> Answer:
        self.sel_reservation = self.sel_reservation % 0xFFFF + 1
        return OK, self.sel_reservation.to_bytes(2, "little")

    def sel_time(self, _: bytes, __: Session) -> Answer:
        return OK, int(self.unix_seconds()).to_bytes(4, "little")

    def get_sel(self, data: bytes, _: Session) -> Answer:
        if len(data) != 6:
            return WRONG_LENGTH, b""
        reservation, wanted = int.from_bytes(data[0:2], "little"), int.from_bytes(data[2:4], "little")
        if reservation not in (0, self.sel_reservation):
            return RESERVATION, b""
        records = self.plant.sel[self.node]
        place = {0: 1, 0xFFFF: len(records)}.get(wanted, wanted)
        if not 1 <= place <= len(records):
            return NOT_PRESENT, b""
        following = place + 1 if place < len(records) else 0xFFFF
        return self._part(self._sel_bytes(place), data[4], data[5], following)

    def _sel_bytes(self, place: int) -> bytes:
        record = self.plant.sel[self.node][place - 1]
        stamp = int(self.unix_seconds_at(record.at_seconds)).to_bytes(4, "little")
        head = place.to_bytes(2, "little") + b"\x02" + stamp + b"\x20\x00\x04"
        return head + bytes(
            (record.sensor_type, record.sensor_number or WATCHDOG_NUMBER, 0x6F, 0xC0 | record.offset, 0xFF, 0xFF)
        )


TABLE: Mapping[tuple[int, int], Callable[[Bmc, bytes, Session], Answer]] = {
    (CHASSIS, 0x01): Bmc.chassis_status,
    (CHASSIS, 0x02): Bmc.chassis_control,
    (SENSOR, 0x2D): Bmc.sensor_reading,
    (APP, 0x01): Bmc.device_id,
    (APP, 0x37): Bmc.system_guid,
    (APP, 0x3B): Bmc.set_privilege,
    (STORAGE, 0x10): Bmc.fru_area,
    (STORAGE, 0x11): Bmc.read_fru,
    (STORAGE, 0x20): Bmc.sdr_status,
    (STORAGE, 0x22): Bmc.reserve_sdr,
    (STORAGE, 0x23): Bmc.get_sdr,
    (STORAGE, 0x40): Bmc.sel_status,
    (STORAGE, 0x42): Bmc.reserve_sel,
    (STORAGE, 0x43): Bmc.get_sel,
    (STORAGE, 0x48): Bmc.sel_time,
    (GROUP, 0x01): Bmc.dcmi_capabilities,
    (GROUP, 0x02): Bmc.power_reading,
    (APP, 0x02): deeds.cold_reset,
    (GROUP, 0x03): deeds.get_limit,
    (GROUP, 0x04): deeds.set_limit,
    (GROUP, 0x05): deeds.activate_limit,
}


def run(bmc: Bmc, netfn: int, command: int, data: bytes, session: Session) -> Answer:
    """Carry one command out, or refuse it; what would change something is always written down."""
    bmc.commands += 1
    deed = TABLE.get((netfn, command))
    if deed is not None:
        return deed(bmc, data, session)
    if (netfn, command) in CHANGING:
        bmc.seen(CHANGING[netfn, command], {"data": data.hex()}, False, False)
        return INVALID_COMMAND, b""
    return INVALID_COMMAND, b""

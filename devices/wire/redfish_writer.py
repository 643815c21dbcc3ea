"""A power limit over Redfish: one PATCH of a control's set-point, for the version that was looked at, on its own connection.

Source: DMTF Redfish `Control` schema (`SetPoint`, `AllowableMin`, `AllowableMax`, `SettingMin`, `SettingMax`, `ControlMode`), found
below `/redfish/v1/Chassis/{chassis}/Controls`; GPUs of HGX boards have a chassis of their own with such a control.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from devices.orders import Order
from devices.wire.http_order import Seen, Subject, fields
from devices.wire.once import Call, Courier, Peer, said
from devices.wire.order_writer import OrderWriter
from devices.wire.tls import client_context
from fleet.errors import Malformed, Refused, Unreachable
from fleet.secrets import reveal

CONTROL = re.compile(r"/redfish/v1/Chassis/[A-Za-z0-9_.-]{1,64}/Controls/[A-Za-z0-9_.-]{1,64}")
"""The only resources that are written: controls of a chassis. `..` is no part of one."""


class _Control(msgspec.Struct, frozen=True, rename="pascal"):
    set_point: float | None = None
    set_point_units: str = "W"
    control_type: str | None = None
    allowable_min: float | None = None
    allowable_max: float | None = None
    setting_min: float | None = None
    setting_max: float | None = None
    etag: str | None = msgspec.field(name="@odata.etag", default=None)


class RedfishWriter(OrderWriter):
    """Carries out `redfish_power_limit` and nothing else."""

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        if order.verb != "redfish_power_limit":
            raise Refused(f"{order.verb!r} is no verb of Redfish, try one of devices.orders.VERBS")
        peer = peer_of(order)
        return peer, _Limit(peer, order.arguments)


def peer_of(order: Order) -> Peer:
    """The service, with basic authentication over TLS: a session would be one more write. Raises `Refused`."""
    where = order.endpoint.source
    user, password = (reveal(order.secret.get(key, "")) for key in ("user", "password"))
    if not user or not password or ":" in user:
        raise Refused(f"{where}: the secret lacks a usable user or password")
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Peer.at(order.endpoint.address, client_context(order.secret, where), f"Basic {basic}")


@dataclass(slots=True)
class _Limit:
    """One control's set-point in watts."""

    peer: Peer
    arguments: Mapping[str, object]
    _etag: str | None = None

    def __post_init__(self) -> None:
        _ = self.path, self.watts

    @property
    def path(self) -> str:
        control = self.arguments.get("control")
        if not isinstance(control, str) or not CONTROL.fullmatch(control) or ".." in control:
            raise ValueError(f"control is {control!r}, try /redfish/v1/Chassis/…/Controls/… as the service lists it")
        return control

    @property
    def watts(self) -> float:
        value = self.arguments.get("watts")
        if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= 1e6:
            raise ValueError(f"watts is {value!r}, try a number from 1 to 1000000")
        return float(value)

    async def look(self) -> Seen:
        """The set-point, such as `700 W`, or `none`."""
        control = await self._control()
        if control.control_type not in {None, "Power"} or control.set_point_units != "W":
            raise Refused(f"{self.path} controls {control.control_type} in {control.set_point_units}, not power in W")
        low, high = _bounds(control)
        if not low <= self.watts <= high:
            raise Refused(f"{self.watts:g} W is outside what {self.path} allows, {low:g} to {high:g} W")
        self._etag = control.etag
        held = control.set_point
        return Seen("none" if held is None else f"{held:g} W", held is not None and abs(held - self.watts) < 0.5)

    async def _control(self) -> _Control:
        answer = await self.peer.get(self.path)
        if answer.status >= 500 or answer.status == 429:
            raise Unreachable(f"{self.peer.where}{self.path}: {said(answer, fields(answer.body))}, try again later")
        if answer.status != 200:
            raise Refused(
                f"{self.peer.where}{self.path}: status {answer.status}, try the secret and the control's path"
            )
        try:
            return msgspec.json.decode(answer.body, type=_Control)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed(f"{self.peer.where}{self.path}: {error}, try the BMC's firmware") from error

    def call(self) -> Call:
        body = msgspec.json.encode({"SetPoint": self.watts})
        headers = (f"If-Match: {self._etag}",) if self._etag and _ETAG.fullmatch(self._etag) else ()
        return Call(method="PATCH", path=self.path, body=body, headers=headers)


_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]{0,200}"')


def _bounds(control: _Control) -> tuple[float, float]:
    """What the control allows; one that does not say is not written."""
    low = control.allowable_min if control.allowable_min is not None else control.setting_min
    high = control.allowable_max if control.allowable_max is not None else control.setting_max
    if low is None or high is None:
        raise Refused("the control does not say which watts it allows, try the BMC's firmware")
    return low, high

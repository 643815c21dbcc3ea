"""How outlets are switched over SNMP, family by family: two vendors are mutually inverse, so nothing is shared.

Absolute off and on only: SNMP has no fence, a reboot that the network repeats would run twice. The state is read at its
own OID with its own words, never inferred from what was written. `{outlet}` is the outlet's index as the inventory has
it: `5` where a PDU numbers its outlets, `1.5` or `1.1.5` where unit and cord are part of the index.

Sources: each vendor's MIB (PowerNet-MIB, EATON-EPDU-MIB, PDU2-MIB, Sentry4-MIB, VERTIV-V5-MIB, CPS-MIB,
ENLOGIC-PDU2-MIB).
"""

from collections.abc import Mapping
from types import MappingProxyType

from devices.profiles.profile import Switch, Switching

_APC = "1.3.6.1.4.1.318.1.1.26.9.2"
_EATON = "1.3.6.1.4.1.534.6.6.7.6.6.1"
_RARITAN = "1.3.6.1.4.1.13742.6.4.1.2.1"
_SENTRY4 = "1.3.6.1.4.1.1718.4.1.8"
_VERTIV = "1.3.6.1.4.1.21239.5.2.3.5.1"
_CYBERPOWER = "1.3.6.1.4.1.3808.1.1.3.3"
_ENLOGIC = "1.3.6.1.4.1.38446.1.5"

SWITCHING: Mapping[str, Switching] = MappingProxyType(
    {
        "apc-rpdu2": Switching(  # rPDU2OutletSwitchedControlCommand: 1 on, 2 off; its state says 1 off, 2 on
            off=Switch(oid=f"{_APC}.4.1.5.{{outlet}}", value=2),
            on=Switch(oid=f"{_APC}.4.1.5.{{outlet}}", value=1),
            state_oid=f"{_APC}.3.1.5.{{outlet}}",
            states={1: "off", 2: "on"},
        ),
        "eaton-epdu-g3": Switching(  # outletControlOffCmd, …OnCmd of strap 0: seconds of delay, 0 acts at once
            off=Switch(oid=f"{_EATON}.3.0.{{outlet}}", value=0),
            on=Switch(oid=f"{_EATON}.4.0.{{outlet}}", value=0),
            state_oid=f"{_EATON}.2.0.{{outlet}}",
            states={0: "off", 1: "on", 2: "pending_off", 3: "pending_on"},
        ),
        "raritan-pdu2": Switching(  # switchingOperation: 0 off, 1 on, 2 cycle; the state is a SensorState
            off=Switch(oid=f"{_RARITAN}.2.{{outlet}}", value=0),
            on=Switch(oid=f"{_RARITAN}.2.{{outlet}}", value=1),
            state_oid=f"{_RARITAN}.3.{{outlet}}",
            states={7: "on", 8: "off"},
        ),
        "servertech-sentry4": Switching(  # st4OutletControlAction: 1 on, 2 off, 3 reboot
            off=Switch(oid=f"{_SENTRY4}.5.1.2.{{outlet}}", value=2),
            on=Switch(oid=f"{_SENTRY4}.5.1.2.{{outlet}}", value=1),
            state_oid=f"{_SENTRY4}.3.1.1.{{outlet}}",
            states={1: "on", 2: "off"},
        ),
        "vertiv-geist-v5": Switching(  # pduOutletSwitchControl: 2 on, 4 off, 6 reboot; odd ones act after a delay
            off=Switch(oid=f"{_VERTIV}.6.{{outlet}}", value=4),
            on=Switch(oid=f"{_VERTIV}.6.{{outlet}}", value=2),
            state_oid=f"{_VERTIV}.4.{{outlet}}",
            states={1: "on", 2: "off", 3: "pending_off", 4: "pending_on"},
        ),
        "cyberpower-epdu": Switching(  # ePDUOutletControlOutletCommand: 1 on, 2 off, 3 reboot
            off=Switch(oid=f"{_CYBERPOWER}.3.1.1.4.{{outlet}}", value=2),
            on=Switch(oid=f"{_CYBERPOWER}.3.1.1.4.{{outlet}}", value=1),
            state_oid=f"{_CYBERPOWER}.5.1.1.4.{{outlet}}",
            states={1: "on", 2: "off"},
        ),
        "enlogic-pdu2": Switching(  # pduOutletSwitchedControlCommand: 1 off, 2 on, 5 reboot
            off=Switch(oid=f"{_ENLOGIC}.5.1.4.{{outlet}}", value=1),
            on=Switch(oid=f"{_ENLOGIC}.5.1.4.{{outlet}}", value=2),
            state_oid=f"{_ENLOGIC}.4.1.4.{{outlet}}",
            states={0: "off", 1: "on"},
        ),
    }
)
"""By profile name. `eaton-epdu-g3` and `apc-rpdu2` are read by profiles too; the others are switched only."""

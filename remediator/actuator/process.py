"""One actuator process: what it is made of, how it starts, how it ends."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from devices.orders import Remember, Writer
from devices.wire.ipmi_writer import IpmiWriter
from devices.wire.snmp_set import SnmpSetWriter
from fleet.clock import Clock, SystemClock
from fleet.errors import ConfigurationError, HallkeeperError
from fleet.loader import load_site
from fleet.model import Wire
from fleet.settings import Settings, load_settings
from remediator.actuator.actuator import Actuator
from remediator.actuator.server import ActuatorServer, bound_socket
from remediator.verbs import Lane

WATCHDOG_SECONDS = 5.0
"""Between two signs of life to the supervisor; it waits for six of them."""

log = structlog.get_logger("hallkeeper.actuator")


class AlreadyRunning(HallkeeperError):
    """Another actuator holds this lane."""


def writers(clock: Clock, remember: Remember) -> Mapping[Wire, Callable[[], Writer]]:
    """Wire to writer; each is made when its first order comes, so that a site loads only the libraries it needs."""

    def agent() -> Writer:
        from devices.wire.agent import AgentWriter

        return AgentWriter(clock, remember=remember)

    def kubernetes() -> Writer:
        from devices.wire.kubernetes import KubernetesWriter

        return KubernetesWriter(clock, remember=remember)

    def slurm() -> Writer:
        from devices.wire.slurm_writer import SlurmWriter

        return SlurmWriter(clock, remember=remember)

    def modbus() -> Writer:
        from devices.wire.modbus_writer import ModbusWriter

        return ModbusWriter(clock, remember=remember)

    def redfish() -> Writer:
        from devices.wire.redfish_writer import RedfishWriter

        return RedfishWriter(clock, remember=remember)

    def hook() -> Writer:
        from devices.wire.hook_writer import HookWriter

        return HookWriter(clock, remember=remember)

    return {
        Wire.IPMI: lambda: IpmiWriter(clock, remember=remember),
        Wire.SNMP: lambda: SnmpSetWriter(clock, remember=remember),
        Wire.AGENT: agent,
        Wire.KUBERNETES: kubernetes,
        Wire.SLURM: slurm,
        Wire.MODBUS: modbus,
        Wire.REDFISH: redfish,
        Wire.HOOK: hook,
    }


@contextlib.contextmanager
def sole(data: Path, lane: Lane) -> Iterator[None]:
    """One actuator a lane on this host. Raises `AlreadyRunning`."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(data / f"actuator-{lane}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AlreadyRunning(f"{data}: another {lane} actuator runs here, try stopping it first") from None
    try:
        yield
    finally:
        os.close(fd)


async def run(settings_path: Path, lane: Lane, *, clock: Clock | None = None) -> None:
    """Serve until SIGTERM, then wait for the acts under way. Raises `HallkeeperError` when it cannot start."""
    clock = clock or SystemClock()
    settings = load_settings(settings_path)
    with sole(settings.data, lane):
        actuator = Actuator(
            lane=lane,
            site=load_site(settings.site),
            data=settings.data,
            clock=clock,
            make_writers=lambda remember: writers(clock, remember),
        )
        await _serve(actuator, settings, settings_path, lane, clock)


async def _serve(actuator: Actuator, settings: Settings, settings_path: Path, lane: Lane, clock: Clock) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    _on_signals(stop, hurry, reload=lambda: _reload(actuator, settings_path))
    path = settings.data / f"actuator-{lane}.sock"
    sock = bound_socket(path)
    async with asyncio.TaskGroup() as group:
        started = asyncio.Event()
        acting = group.create_task(actuator.run(started.set))
        alive = group.create_task(_signs_of_life(clock))
        await started.wait()
        async with ActuatorServer(actuator).serving(sock):
            notify(f"READY=1\nX_ADDRESS={path}")
            log.info("actuator ready", lane=lane, socket=str(path))
            await stop.wait()
            notify("STOPPING=1")
            await actuator.drained(hurried=hurry)
        path.unlink(missing_ok=True)
        alive.cancel()
        acting.cancel()


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event, *, reload: Callable[[], None]) -> None:
    """The first SIGTERM or SIGINT drains, a second one hurries; SIGHUP reads the site again."""

    def ask_to_end() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_end)
    loop.add_signal_handler(signal.SIGHUP, reload)


def _reload(actuator: Actuator, settings_path: Path) -> None:
    """Take a new site file, or keep the old one when the new one is wrong."""
    try:
        actuator.site = load_site(load_settings(settings_path).site)
        log.info("site read again")
    except ConfigurationError as error:
        log.error("site not read again, the old one stays", problems=str(error))


async def _signs_of_life(clock: Clock) -> None:
    while True:
        notify("WATCHDOG=1")
        await clock.sleep(WATCHDOG_SECONDS)


def notify(text: str) -> None:
    """Tell systemd or the supervisor, if there is one (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)

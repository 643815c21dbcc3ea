"""The composition root: settings to sockets, one task for each thing the daemon does, and a clean end."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog
from aiohttp import web

from agent.checkpoints import Checkpoints
from agent.gpus import Gpus, NoGpus, NvidiaSmi
from agent.kernel_log import Journal, KernelLog, KernelWatch, Kmsg, NoKernelLog
from agent.notify import notify
from agent.power import GpuWatch, PowerLimiter
from agent.repairs import Repairs
from agent.server import Protocol1, Tokens, application
from agent.settings import Loaded, load_agent_settings
from agent.store import Store, Unusable
from fleet.clock import Clock
from fleet.errors import HallkeeperError
from fleet.secrets import read_secret

BEAT_SECONDS = 2.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = structlog.get_logger("agent")


class Agent:
    """One node's agent, wired; `run` serves until it is cancelled."""

    def __init__(
        self,
        loaded: Loaded,
        clock: Clock,
        *,
        boot_id: str,
        gpus: Gpus | None = None,
        kernel_log: KernelLog | None = None,
        notify: Callable[[str], None] = lambda _state: None,
    ) -> None:
        """Raises `Unusable`, `SecretError` or `OSError` when the settings name what cannot be used."""
        self.node = loaded.settings.node
        self.boot_id = boot_id
        self.beats = 0
        self._loaded = loaded
        self._clock = clock
        self._notify = notify
        self._tokens = read_tokens(loaded)
        self._context = server_context(loaded)
        settings = loaded.settings
        self._store = Store(loaded.base / settings.data)
        tool = gpus if gpus is not None else _gpus(loaded)
        self._gpus = GpuWatch(tool, self._store, clock, every_seconds=settings.gpu_seconds)
        source = kernel_log if kernel_log is not None else _kernel_log(loaded, clock)
        self._kernel = KernelWatch(source, self._store, clock, boot_id=boot_id, gpu_at=lambda: self._gpus.addresses)
        command = settings.checkpoint.command if settings.checkpoint else ()
        self._checkpoints = Checkpoints(command, self._store, clock)
        self._repairs = Repairs(tool, self._gpus, self._store, clock, allowed=loaded.allowed, boot_id=boot_id)
        self._protocol = Protocol1(
            life=self,
            store=self._store,
            clock=clock,
            kernel=self._kernel,
            gpus=self._gpus,
            gpu_seconds=settings.gpu_seconds,
            power=PowerLimiter(tool, self._gpus, self._store, clock, loaded.bounds),
            checkpoints=self._checkpoints,
            repairs=self._repairs,
        )
        self.port = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises `Unusable` when the address is taken."""
        try:
            async with self._serving(), asyncio.TaskGroup() as work:
                work.create_task(self._beat())
                work.create_task(self._gpus.run())
                work.create_task(self._kernel.run())
                work.create_task(self._checkpoints.run())
                work.create_task(self._repairs.run())
                self._notify("READY=1")
                log.info("serving", node=self.node, port=self.port)
        finally:
            self._notify("STOPPING=1")
            self._store.close()

    async def _beat(self) -> None:
        """The sequence counts turns of this loop: it stands still when the loop does, and systemd restarts the daemon."""
        while True:
            self.beats += 1
            self._notify("WATCHDOG=1")
            await self._clock.sleep(BEAT_SECONDS)

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        host, _, port = self._loaded.settings.listen.rpartition(":")
        runner = web.AppRunner(application(self._protocol, lambda: self._tokens), access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=self._context)
            try:
                await site.start()
            except OSError as error:
                raise Unusable(f"{self._loaded.settings.listen}: {error.strerror}, try another `listen`") from error
            self.port = int(runner.addresses[0][1])
            yield
        finally:
            await runner.cleanup()

    def reload(self) -> None:
        """Take new tokens and certificate from their files; keep the old ones if the new are wrong."""
        try:
            tokens = read_tokens(self._loaded)
            server_context(self._loaded)  # tried on a fresh context first: a wrong file must not touch the one in use
            self._context.load_cert_chain(self._loaded.certificate, self._loaded.key)
        except (HallkeeperError, OSError) as error:
            log.error("reload failed, the old tokens and certificate stay", reason=str(error))
            return
        self._tokens = tokens
        log.info("tokens and certificate read again")


def read_tokens(loaded: Loaded) -> Tokens:
    """Digests of both tokens. Raises `SecretError` when a file is absent or open, `Unusable` when they are the same."""
    references = loaded.settings.tokens
    read = read_secret(references.read, base=loaded.base).text("token")
    write = read_secret(references.write, base=loaded.base).text("token")
    if read == write or min(len(read), len(write)) < 16:
        raise Unusable("the two tokens are the same or shorter than 16 characters, try `openssl rand -hex 32` for each")
    return Tokens.of(read=read, write=write)


def server_context(loaded: Loaded) -> ssl.SSLContext:
    """TLS 1.2 or newer with the agent's certificate. Raises `Unusable` when the files are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(loaded.certificate, loaded.key)
    except (OSError, ssl.SSLError) as error:
        raise Unusable(f"{loaded.certificate} and {loaded.key}: {error}, try a PEM certificate with its key") from error
    return context


def _gpus(loaded: Loaded) -> Gpus:
    return NvidiaSmi(loaded.settings.nvidia_smi) if loaded.settings.gpus == "nvidia-smi" else NoGpus()


def _kernel_log(loaded: Loaded, clock: Clock) -> KernelLog:
    match loaded.settings.kernel_log:
        case "kmsg":
            return Kmsg()
        case "journal":
            return Journal(clock)
        case _:
            return NoKernelLog()


async def serve(path: Path, clock: Clock, *, boot_id: str) -> None:
    """Run the agent of a settings file until SIGTERM or SIGINT; SIGHUP reads tokens and certificate again."""
    with contextlib.suppress(asyncio.CancelledError):
        agent = Agent(load_agent_settings(path), clock, boot_id=boot_id, notify=notify)
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        loop.add_signal_handler(signal.SIGHUP, agent.reload)
        await agent.run()

"""A daemon is watched by work done, answers for its readiness, and drains on SIGTERM."""

import asyncio
import os
import signal

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from fleet.clock import SystemClock
from fleet.errors import HallkeeperError
from hallkeeper.daemon import AddressInUse, Daemon, Pulse, Reload, listening, status_app


class Worker:
    def __init__(self):
        self.progress = 0
        self.waiting = "warming up"
        self.drained = False

    def not_ready(self):
        return self.waiting

    async def run(self):
        try:
            while True:
                self.progress += 1
                await asyncio.sleep(0.01)
        finally:
            self.drained = True


def daemon_of(worker, **more):
    worker.waiting = None
    return Daemon(
        {"w": worker},
        clock=SystemClock(),
        registry=more.pop("registry", CollectorRegistry()),
        listen="127.0.0.1:0",
        **more,
    )


async def started(daemon, worker):
    task = asyncio.create_task(daemon.run())
    while worker.progress < 3:
        await asyncio.sleep(0.01)
    return task


def test_a_service_whose_progress_stands_still_is_stalled():
    worker = Worker()
    pulse = Pulse({"w": worker}, started_ns=0, stalled_seconds=30)
    assert pulse.stalled(29_000_000_000) == []
    assert pulse.stalled(31_000_000_000) == ["w"]
    worker.progress += 1
    assert pulse.stalled(31_000_000_000) == []
    assert pulse.stalled(62_000_000_000) == ["w"]


async def test_readiness_says_who_waits_for_what():
    worker = Worker()
    pulse = Pulse({"w": worker}, started_ns=SystemClock().boottime_ns())
    app = status_app({"w": worker}, pulse, CollectorRegistry(), SystemClock())
    async with listening(app, "127.0.0.1:0") as address, aiohttp.ClientSession() as http:
        async with http.get(f"http://{address}/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["waiting"] == {"w": "warming up"}
        worker.waiting = None
        for path in ("readyz", "healthz", "metrics", "-/ready", "-/healthy"):
            async with http.get(f"http://{address}/{path}") as answer:
                assert answer.status == 200


async def test_a_busy_port_is_said_with_what_to_try():
    def app():
        return status_app({}, Pulse({}, started_ns=0), CollectorRegistry(), SystemClock())

    async with listening(app(), "127.0.0.1:0") as address:
        with pytest.raises(AddressInUse, match="try:"):
            async with listening(app(), address):
                pass


async def test_sigterm_drains_every_service():
    worker = Worker()
    task = await started(daemon_of(worker), worker)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await task
    assert worker.drained


async def test_a_reload_that_is_refused_keeps_the_old_files_and_says_so():
    def refuse():
        raise HallkeeperError("site.yaml:3:1: rows: wrong, try: right")

    registry = CollectorRegistry()
    worker = Worker()
    task = await started(daemon_of(worker, registry=registry, on_reload=refuse), worker)
    os.kill(os.getpid(), signal.SIGHUP)
    while registry.get_sample_value("hallkeeper_config_last_reload_successful") != 0:
        await asyncio.sleep(0.01)
    assert not task.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await task


async def test_changed_files_end_the_run_so_that_the_services_are_made_anew():
    worker = Worker()
    task = await started(daemon_of(worker, on_reload=lambda: Reload.ANEW), worker)
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(5):
        assert await task is True
    assert worker.drained


async def test_a_reload_that_changes_nothing_lets_everything_run_on():
    worker = Worker()
    reloads = []
    task = await started(daemon_of(worker, on_reload=lambda: reloads.append(1) or Reload.TAKEN), worker)
    os.kill(os.getpid(), signal.SIGHUP)
    while not reloads:
        await asyncio.sleep(0.01)
    assert not worker.drained
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await task is False


class Deaf(Worker):
    """Swallows so many cancellations."""

    def __init__(self, deaf):
        super().__init__()
        self.deaf = deaf

    async def run(self):
        while True:
            try:
                await super().run()
            except asyncio.CancelledError:
                self.deaf -= 1
                if self.deaf < 0:
                    raise


@pytest.mark.parametrize(("deaf", "left"), [(1, []), (2, [1])])
async def test_a_service_that_did_not_hear_is_told_once_more_and_then_left_behind(monkeypatch, deaf, left):
    monkeypatch.setattr("hallkeeper.daemon.DRAIN_SECONDS", 0.1)
    monkeypatch.setattr("hallkeeper.daemon.LAST_SECONDS", 0.1)
    worker, statuses = Deaf(deaf), []
    task = await started(daemon_of(worker, leave=statuses.append), worker)
    os.kill(os.getpid(), signal.SIGTERM)
    while worker.deaf > (0 if left else -1):
        await asyncio.sleep(0.01)
    if left:
        await asyncio.sleep(0.2)
        task.cancel()  # in truth the process is gone by now
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert statuses == left


async def test_the_last_resort_is_armed_once_when_the_end_begins():
    worker, armed = Worker(), []
    task = await started(daemon_of(worker, last_resort=armed.append), worker)
    assert armed == []
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await task is False
    assert armed == [27.0]


async def test_after_its_end_a_daemon_holds_on_to_no_signal():
    worker = Worker()
    task = await started(daemon_of(worker), worker)
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM) is False

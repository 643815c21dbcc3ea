"""The Slurm verbs against a real slurmctld with its slurmd and slurmrestd: each sent once, seen by the controller, taken back."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from devices.orders import Order, State, Verdict
from devices.wire.http_order import Timing
from devices.wire.slurm_reader import SlurmReader
from devices.wire.slurm_writer import SlurmWriter
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.real.slurm import Slurm, slurm, token

pytestmark = pytest.mark.peer("slurm")
CLOCK = SystemClock()
QUICK = Timing(answer_seconds=5.0, longest_poll_seconds=0.05)
STAYS = "trap 'echo $HK >> {log}' USR1; while true; do sleep 0.05; done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with slurm() as running:
        yield running


def endpoint(cluster: Slurm) -> Endpoint:
    return Endpoint(
        asset=AssetId("slurm-1"), name="api", wire=Wire.SLURM, address=cluster.url, profile="slurm", credentials="s", job="slurm"
    )  # fmt: skip


def secret(cluster: Slurm, **others: object) -> Secrets:
    return Secrets({"user": cluster.user, "token": cluster.token, "conf": str(cluster.conf), "auth": "munge", **others})


def order(cluster: Slurm, verb: str, *, seconds: float = 5.0, latency: float = 3.0, **arguments: object) -> Order:
    return Order(
        intent="intent-1",
        asset=AssetId("slurm-1"),
        verb=verb,
        arguments=arguments,
        endpoint=endpoint(cluster),
        secret=secret(cluster),
        not_after_boottime_ns=CLOCK.boottime_ns() + round(seconds * 1e9),
        effect_latency_seconds=latency,
    )


async def done(wanted: Order) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    verdict = await SlurmWriter(CLOCK, timing=QUICK).act(wanted, states.append)
    return verdict, states


async def running_job(cluster: Slurm, *options: str, script: str = "sleep 600") -> int:
    """A job that runs, waited for off the event loop."""
    number = await asyncio.to_thread(cluster.submit, "-N1", "--requeue", *options, script=script)
    await asyncio.to_thread(cluster.until, lambda: cluster.job(number).get("JobState") == "RUNNING")
    return number


async def ended(cluster: Slurm, number: int) -> None:
    await asyncio.to_thread(cluster.command, "scancel", str(number))


async def there_and_back(cluster: Slurm, there: str, back: str, after: str, before: str, **arguments: object) -> None:
    """The verb, the same again (nothing sent), and what takes it back."""
    verdict, states = await done(order(cluster, there, **arguments))
    assert (verdict.state, states) == (State.ACKNOWLEDGED, [State.SENT, State.ACKNOWLEDGED]), verdict.text
    assert (verdict.before, verdict.after) == (before, after)
    again, states = await done(order(cluster, there, **arguments))
    assert (again.state, states) == (State.NOT_SENT, []), again.text
    returned, _ = await done(order(cluster, back, **arguments))
    assert (returned.state, returned.after) == (State.ACKNOWLEDGED, before), returned.text


async def test_a_node_is_drained_and_given_back(cluster: Slurm) -> None:
    await there_and_back(cluster, "slurm_drain", "slurm_resume", "drained", "in service", node="n1")


async def test_a_drain_that_a_person_made_is_not_given_back(cluster: Slurm) -> None:
    cluster.command("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=fan broken, Ada")
    verdict, states = await done(order(cluster, "slurm_resume", node="n2"))
    assert (verdict.state, states) == (State.NOT_SENT, [])
    assert "fan broken, Ada" in verdict.text
    cluster.command("scontrol", "update", "NodeName=n2", "State=RESUME")


async def test_a_partition_admits_no_job_and_admits_again(cluster: Slurm) -> None:
    await there_and_back(cluster, "slurm_stop_admissions", "slurm_allow_admissions", "down", "up", partition="main")


async def test_a_running_job_is_suspended_and_goes_on(cluster: Slurm) -> None:
    number = await running_job(cluster)
    await there_and_back(cluster, "slurm_suspend", "slurm_unsuspend", "suspended", "running", job_id=number)
    await ended(cluster, number)


async def test_a_queued_job_is_held_and_released(cluster: Slurm) -> None:
    number = await asyncio.to_thread(cluster.submit, "-N1", "--begin=now+1hour")
    await there_and_back(cluster, "slurm_hold", "slurm_release", "held", "pending", job_id=number)
    await ended(cluster, number)


async def test_a_job_is_requeued_once_by_its_restart_count(cluster: Slurm) -> None:
    number = await running_job(cluster)
    verdict, _ = await done(order(cluster, "slurm_requeue", job_id=number, restarts=0))
    assert verdict.state is State.ACKNOWLEDGED, verdict.text
    assert cluster.job(number)["Restarts"] == "1"
    again, states = await done(order(cluster, "slurm_requeue", job_id=number, restarts=0))
    assert (again.state, states) == (State.NOT_SENT, [])
    assert cluster.job(number)["Restarts"] == "1"
    await ended(cluster, number)


async def test_a_signal_reaches_the_job_once(cluster: Slurm) -> None:
    log = cluster.folder / "signals"
    number = await running_job(cluster, script=STAYS.format(log=log))
    await asyncio.sleep(0.3)  # the shell of the job has set its trap by then
    verdict, states = await done(order(cluster, "slurm_signal", job_id=number, signal="USR1"))
    assert (verdict.state, states) == (State.ACKNOWLEDGED, [State.SENT, State.ACKNOWLEDGED]), verdict.text
    await asyncio.to_thread(cluster.until, log.exists)
    await asyncio.sleep(0.3)
    assert log.read_text().count("\n") == 1
    await ended(cluster, number)


async def test_nodes_are_reserved_and_given_back(cluster: Slurm) -> None:
    arguments = {"name": "hallkeeper-r1", "nodes": ["n2", "n3"], "minutes": 5}
    verdict, _ = await done(order(cluster, "slurm_reserve", **arguments))
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "reserves n[2-3]"), verdict.text
    again, states = await done(order(cluster, "slurm_reserve", **arguments))
    assert (again.state, states) == (State.NOT_SENT, [])
    back, _ = await done(order(cluster, "slurm_unreserve", name="hallkeeper-r1"))
    assert (back.state, back.after) == (State.ACKNOWLEDGED, "absent"), back.text


@pytest.mark.parametrize(
    ("verb", "arguments", "text"),
    [
        ("slurm_drain", {"node": "n9"}, "no node n9"),
        ("slurm_drain", {"node": "n1 State=DOWN"}, "try a name"),
        ("slurm_hold", {"job_id": 9999}, "no job 9999"),
        ("slurm_signal", {"job_id": 1, "signal": "KILL"}, "try one of USR1, USR2"),
        ("slurm_unreserve", {"name": "physics"}, "others' reservations are theirs"),
        ("slurm_reserve", {"name": "hallkeeper-x", "nodes": "n1 Flags=x", "minutes": 1}, "try a list of node names"),
        ("slurm_stop_admissions", {"partition": "none"}, "no partition none"),
        ("slurm_shutdown", {}, "no verb of Slurm"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_sent(cluster, verb, arguments, text) -> None:
    verdict, states = await done(order(cluster, verb, **arguments))
    assert (verdict.state, states) == (State.NOT_SENT, [])
    assert text in verdict.text


async def test_what_the_controller_refuses_is_refused_and_not_tried_again(cluster: Slurm) -> None:
    number = await asyncio.to_thread(cluster.submit, "-N1", "--begin=now+1hour", "--no-requeue")
    verdict, states = await done(order(cluster, "slurm_suspend", job_id=number))
    assert verdict.state is State.REFUSED, verdict.text
    assert states == [State.SENT, State.REFUSED]
    await ended(cluster, number)


async def test_a_token_that_is_over_is_told_and_nothing_is_sent(cluster: Slurm) -> None:
    old = token(cluster.key, cluster.user, now=1_000_000, seconds=1)
    wanted = order(cluster, "slurm_drain", node="n1")
    states: list[State] = []
    verdict = await SlurmWriter(CLOCK, timing=QUICK).act(
        replace(wanted, secret=secret(cluster, token=old)), states.append
    )
    assert (verdict.state, states) == (State.NOT_SENT, [])
    assert "token" in verdict.text


async def test_a_token_alone_drains_and_what_its_answer_cannot_say_is_read(cluster: Slurm) -> None:
    by_token = replace(order(cluster, "slurm_drain", node="n3"), secret=secret(cluster, auth="jwt"))
    verdict, _ = await done(by_token)
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "drained"), verdict.text
    await done(order(cluster, "slurm_resume", node="n3"))
    number = await running_job(cluster)
    wanted = order(cluster, "slurm_suspend", job_id=number)
    verdict, states = await done(replace(wanted, secret=secret(cluster, auth="jwt")))
    assert verdict.after == "suspended"
    assert states[0] is State.SENT
    assert verdict.state in {State.UNKNOWN, State.ACKNOWLEDGED}
    await ended(cluster, number)


async def test_every_node_and_job_is_read(cluster: Slurm) -> None:
    reader = SlurmReader.of(endpoint(cluster), secret(cluster))
    assert {node.name for node in await reader.nodes()} == {"n1", "n2", "n3"}
    number = await running_job(cluster, "-w", "n3")
    assert {job.job_id: job.nodes for job in await reader.jobs()}[number] == "n3"
    await ended(cluster, number)

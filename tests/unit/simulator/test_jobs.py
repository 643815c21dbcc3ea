"""Jobs on the plant: a gang stands still with one rank, begins anew from its checkpoint, and waits for its slowest node."""

import numpy as np
import pytest

from simulator.jobs import CHECKPOINT_SECONDS, RESTART_SECONDS, SECONDS_PER_STEP, STALLED_WATTS, JobRun
from simulator.layout import Job, Layout
from simulator.machines import NodeState
from simulator.nodeagent.jobs import Checkpoints
from simulator.plant import Plant
from simulator.settings import PlantSettings
from simulator.workload import POISON_SECONDS, Process, Workload

GANG = "training/train-a"


class Hall:
    """A small site whose jobs run; time passes by seconds."""

    def __init__(self, *, gang_stall: bool = True) -> None:
        self.plant = Plant(Layout(16, 4), seed=1, settings=PlantSettings(gang_stall=gang_stall))
        self.workload = Workload(self.plant)
        for uid, (name, (job, rank)) in enumerate(self.plant.layout.placement.items()):
            self.workload.start(self.plant.layout.node_index[name], str(uid), Process(job, rank))
        self.workload.sweep()
        self.plant.settle()
        self.workload.sweep()

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.plant.step(1.0)
            self.workload.sweep()

    @property
    def run(self) -> JobRun:
        return self.plant.job_runs[GANG]

    def job(self) -> Job:
        return next(job for job in self.plant.layout.jobs if job.key == GANG)

    def spare(self) -> int:
        return next(node for node in range(16) if not self.workload.uids_on(node))

    def uid_on(self, node: int) -> str:
        return next(iter(self.workload.uids_on(node)))


def test_a_job_makes_steps_and_a_checkpoint_of_its_own_every_half_hour() -> None:
    hall = Hall()
    before = hall.run.steps
    hall.pass_seconds(600)
    assert hall.run.steps - before == pytest.approx(600 / SECONDS_PER_STEP, rel=0.01)
    assert hall.plant.now - hall.run.checkpoint_at <= CHECKPOINT_SECONDS


def test_a_gang_stands_still_with_one_rank_and_its_gpus_wait() -> None:
    hall = Hall()
    hall.plant.hang(0)
    hall.pass_seconds(60)
    assert hall.run.stalled and hall.plant.now - hall.run.last_step_at > 50
    others = [node for node in hall.run.nodes.tolist() if node != 0]
    assert hall.plant.machines.gpu_watts[others].max() < STALLED_WATTS * 1.05
    batch = hall.plant.nodes_of_job("batch/batch-c")
    assert hall.plant.machines.gpu_watts[batch].min() > 500.0, "another job goes on"


def test_where_gangs_do_not_stall_power_stays_but_steps_stop_all_the_same() -> None:
    hall = Hall(gang_stall=False)
    hall.plant.hang(0)
    hall.pass_seconds(30)
    assert hall.run.stalled
    assert hall.plant.machines.gpu_watts[1].min() > 600.0


def test_a_gang_whose_rank_moved_begins_anew_from_its_checkpoint() -> None:
    hall = Hall()
    Checkpoints(hall.plant).ask(GANG, "i", 30.0)
    hall.pass_seconds(120)
    kept, made = hall.run.checkpoint_steps, hall.run.steps
    assert made > kept
    hall.plant.hang(0)
    hall.pass_seconds(20)
    spare, uid = hall.spare(), hall.uid_on(0)
    hall.workload.stop(0, uid)
    hall.workload.start(spare, "new", Process(hall.job(), 0))
    hall.pass_seconds(2)
    assert hall.run.steps == kept and hall.run.restarts == 1
    assert hall.run.rolled_back_seconds == pytest.approx((made - kept) * SECONDS_PER_STEP, abs=30.0)
    hall.pass_seconds(int(RESTART_SECONDS) + 2 * int(SECONDS_PER_STEP))
    assert hall.run.steps > kept + 1 and not hall.run.waits
    assert hall.plant.machines.gpu_watts[spare].min() > 600.0


def test_a_gang_waits_for_its_slowest_node_and_others_do_not() -> None:
    hall = Hall()
    hall.plant.straggling[1] = 1.18
    hall.pass_seconds(5)
    assert hall.run.step_seconds == pytest.approx(1.18 * SECONDS_PER_STEP)
    hall.plant.straggling[1] = 1.0
    hall.plant.limit_power(2, range(8), 200.0)
    hall.pass_seconds(5)
    assert hall.run.step_seconds > 1.5 * SECONDS_PER_STEP, "a capped rank slows all of them"


def test_a_lost_gpu_or_link_stops_a_gang_too() -> None:
    hall = Hall()
    hall.plant.fabric.cut_off([1])
    hall.pass_seconds(10)
    assert hall.run.stalled
    hall.plant.fabric.cut[1] = False
    hall.pass_seconds(10)
    assert not hall.run.stalled and hall.run.restarts == 0
    hall.plant.drop_gpu(1, 4)
    hall.pass_seconds(2)
    assert hall.run.stalled


def test_a_gang_that_stands_still_makes_no_checkpoint() -> None:
    hall = Hall()
    checkpoints = Checkpoints(hall.plant)
    hall.plant.hang(0)
    hall.pass_seconds(3)
    assert checkpoints.ask(GANG, "i", 30.0)
    hall.pass_seconds(6)
    assert checkpoints.of(GANG)["state"] == "failed"


def test_a_checkpoint_that_was_asked_for_is_the_one_that_is_gone_back_to() -> None:
    hall = Hall()
    checkpoints = Checkpoints(hall.plant)
    assert checkpoints.ask(GANG, "i", 30.0)
    hall.pass_seconds(6)
    assert checkpoints.of(GANG)["state"] == "done"
    assert checkpoints.age_seconds(GANG) < 6.0
    assert hall.run.checkpoint_steps == pytest.approx(hall.run.steps, abs=1.5)


def test_a_poisoned_job_hangs_the_host_that_starts_it() -> None:
    hall = Hall()
    hall.plant.poisoned.add(GANG)
    spare, uid = hall.spare(), hall.uid_on(0)
    hall.workload.stop(0, uid)
    hall.workload.start(spare, "new", Process(hall.job(), 0))
    hall.pass_seconds(int(POISON_SECONDS) + 2)
    assert hall.plant.machines.state[spare] == NodeState.HUNG
    assert np.count_nonzero(hall.plant.machines.state == NodeState.HUNG) == 1


def test_a_rank_on_two_living_hosts_is_noted_also_when_nothing_moved_but_a_host_came_back() -> None:
    hall = Hall()
    hall.plant.hang(0)
    hall.pass_seconds(1)
    hall.workload.start(hall.spare(), "new", Process(hall.job(), 0))
    hall.pass_seconds(1)
    assert hall.workload.second_writers == []
    hall.plant.unhang(0)
    hall.pass_seconds(1)
    assert len(hall.workload.second_writers) == 1

"""The shed planner: who gives, in which order, and never whom it must spare."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.model import AssetId
from remediator.playbook import Shed
from remediator.shed import JobLoad, NodeLoad, OffHost, enough, ladder, tier_of
from remediator.verbs import Verb

SHED = Shed()


def node(
    name: str,
    *,
    watts: float = 9000,
    cap: float = 700,
    gpu: float = 650,
    share: float = 1.0,
    phase: str = "1",
    keep: bool = False,
) -> NodeLoad:
    return NodeLoad(
        node=AssetId(name), gpus=8, gpu_watts=gpu, cap_watts=cap, shares={phase: share} if share else {},
        host_watts=2000, watts=watts, untouchable=keep,
    )  # fmt: skip


def job(name: str, tier: str, *nodes: NodeLoad, age: float | None = 100.0) -> JobLoad:
    return JobLoad(job=f"ns/{name}", tier=tier, checkpoint_age_seconds=age, nodes=nodes or (node(f"n-{name}"),))


def names(steps) -> list[str]:
    return [step.what for step in steps]


def test_the_lowest_priority_gives_first_and_the_youngest_checkpoint_within_it() -> None:
    jobs = [
        job("t2", "T2"),
        job("old", "T4", age=900),
        job("young", "T4", age=9),
        job("unknown", "T4", age=None),
        job("t5", "T5"),
    ]
    first = names(ladder(jobs, (), SHED))[:4]
    assert first == [f"cap ns/{name} at 400 W a GPU" for name in ("t5", "young", "old", "unknown")]


def test_a_group_is_capped_all_the_way_before_a_higher_one_is_touched_and_suspended_last() -> None:
    found = names(ladder([job("a", "T4"), job("b", "T2"), job("c", "T1")], (), SHED))
    assert found == [
        *[f"cap ns/{name} at {watts} W a GPU" for name in "abc" for watts in (400, 300, 200)],
        "suspend ns/a",
    ]  # fmt: skip


def test_a_whole_job_is_capped_wherever_its_nodes_are() -> None:
    (step, *_) = ladder([job("a", "T4", node("here"), node("there", share=0.0))], (), SHED)
    assert {act.target for act in step.acts} == {"here", "there"}
    assert step.relief_watts == {"1": 8 * 250.0}


def test_half_a_load_on_the_phase_relieves_half() -> None:
    (step, *_) = ladder([job("a", "T4", node("x", share=0.5))], (), SHED)
    assert step.relief_watts == {"1": 8 * 250 / 2}


def test_of_two_caps_the_lower_stays() -> None:
    found = names(ladder([job("a", "T4", node("x", cap=300))], (), SHED))
    assert found == ["cap ns/a at 200 W a GPU", "suspend ns/a"]


def test_t0_is_never_touched_and_t1_and_t2_are_never_suspended() -> None:
    steps = ladder([job("zero", "T0"), job("one", "T1"), job("two", "T2")], (), SHED)
    assert not any("zero" in step.what for step in steps)
    assert all(act.verb is Verb.GPU_POWER_LIMIT for step in steps for act in step.acts)


def test_a_locked_out_node_keeps_its_cap_and_its_job_is_not_suspended() -> None:
    steps = ladder([job("a", "T4", node("free"), node("locked", keep=True))], (), SHED)
    assert {act.target for step in steps for act in step.acts} == {"free"}
    assert not any("suspend" in step.what for step in steps)


def test_outlets_of_hosts_that_are_off_come_last_and_name_their_policy() -> None:
    off = OffHost(node=AssetId("x"), outlet="3", phase="1", watts=40, policy="alice")
    steps = ladder([job("a", "T4")], [off], SHED)
    assert steps[-1].acts[0].verb is Verb.OUTLET_OFF
    assert steps[-1].policy == "alice"
    assert not any(act.verb is Verb.OUTLET_OFF for step in steps[:-1] for act in step.acts)


def test_a_priority_class_names_its_tier() -> None:
    assert [tier_of(name) for name in ("t2-training", "T4", "t5x", "", "system-node-critical", "t22")] == [
        "T2",
        "T4",
        "T5",
        "T3",
        "T3",
        "T3",
    ]


nodes = st.builds(
    node, st.uuids().map(str), watts=st.floats(0, 12_000), cap=st.sampled_from([700.0, 400.0, 300.0, 200.0]),
    gpu=st.floats(0, 700), share=st.floats(0, 1), phase=st.sampled_from("123"), keep=st.booleans(),
)  # fmt: skip
jobs = st.lists(
    st.builds(
        JobLoad, job=st.uuids().map(lambda u: f"ns/{u}"), tier=st.sampled_from(["T0", "T1", "T2", "T3", "T4", "T5"]),
        checkpoint_age_seconds=st.none() | st.floats(0, 1e6), nodes=st.lists(nodes, min_size=1, max_size=4).map(tuple),
    ),
    max_size=5,
)  # fmt: skip


@given(jobs, st.dictionaries(st.sampled_from("123"), st.floats(0, 40_000)))
def test_what_is_chosen_is_needed_ordered_and_only_tightens(loads: list[JobLoad], need: dict[str, float]) -> None:
    steps = ladder(loads, (), SHED)
    chosen = enough(steps, need)
    assert [step for step in steps if step in chosen] == list(chosen)
    caps = {n.node: n.cap_watts for load in loads for n in load.nodes}
    spared = {n.node for load in loads for n in load.nodes if n.untouchable or load.tier == "T0"}
    for step in chosen:
        assert any(step.relief_watts.get(phase, 0) > 0 for phase, watts in need.items() if watts > 0)
        for act in step.acts:
            if act.verb is Verb.GPU_POWER_LIMIT:
                assert act.target not in spared
                assert float(act.arguments["watts"]) < caps[act.target]
                caps[act.target] = float(act.arguments["watts"])
    relief = {phase: sum(step.relief_watts.get(phase, 0.0) for step in chosen) for phase in need}
    without = {phase: sum(step.relief_watts.get(phase, 0.0) for step in chosen[:-1]) for phase in need}
    if chosen and all(relief[phase] >= need[phase] - 1e-6 for phase in need):
        assert any(without[phase] < need[phase] for phase in need)

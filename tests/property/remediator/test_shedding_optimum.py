"""The plan of a site's shedding against an exact solver (HiGHS), rung by rung from the highest down."""

import highspy
from highspy.highs import highs_linear_expression
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.model import AssetId
from remediator.shedding.cover import Candidate, cheapest
from remediator.shedding.options import RUNGS, Option, Prices, options
from remediator.shedding.plan import plan
from remediator.shedding.survey import Machine, Survey, Work

PLACES = ("site", "feed a", "feed b")


def solver() -> highspy.Highs:
    """A silent one."""
    model: highspy.Highs = highspy.Highs()  # type: ignore[no-untyped-call]
    model.silent()
    return model


def solved(model: highspy.Highs, cost: highs_linear_expression) -> float | None:
    """The least cost, or None where nothing is feasible."""
    model.setOptionValue("mip_rel_gap", 0.0)
    model.setOptionValue("mip_abs_gap", 1e-6)
    model.minimize(cost)
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return float(model.getInfo().objective_function_value)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    watts = st.integers(0, 500)
    return [
        Candidate(f"job {at}", draw(st.floats(1, 1000)), {place: draw(watts) for place in PLACES[:2]})
        for at in range(draw(st.integers(1, 14)))
    ]


@settings(max_examples=60, deadline=None)
@given(candidates(), st.floats(0.05, 1.2), st.floats(0.05, 1.2))
def test_a_cover_is_as_cheap_as_the_exact_solver_finds(found: list[Candidate], first: float, second: float) -> None:
    shares = dict(zip(PLACES, (first, second), strict=False))
    need = {place: share * sum(each.relief[place] for each in found) for place, share in shares.items()}
    model = solver()
    taken = [model.addBinary() for _ in found]
    for place, watts in need.items():
        terms = [x * each.relief[place] for x, each in zip(taken, found, strict=True) if each.relief[place] > 0]
        if terms:
            model.addConstr(model.qsum(terms) >= watts)
    exact = solved(model, model.qsum([x * each.price for x, each in zip(taken, found, strict=True)]))
    ours = cheapest(found, need)
    if exact is None or ours is None:
        assert exact is None or max(shares.values()) > 1 - 1e-9
        assert ours is None or max(shares.values()) < 1 + 1e-9
        return
    assert ours.optimal
    assert abs(ours.price - exact) <= 1e-6 * max(1.0, exact)
    for place, watts in need.items():
        assert sum(each.relief[place] for each in found if each.name in ours.chosen) >= watts * (1 - 1e-8)


@st.composite
def surveys(draw: st.DrawFn) -> Survey:
    works = [draw(_work(f"job-{at}")) for at in range(draw(st.integers(1, 7)))]
    return Survey(works=works, idle=draw(st.lists(_machine(), max_size=2)))


@st.composite
def _work(draw: st.DrawFn, name: str) -> Work:
    return Work(
        job=name,
        tier=draw(st.sampled_from(["T1", "T2", "T3", "T4", "T5"])),
        machines=tuple(draw(st.lists(_machine(), min_size=1, max_size=3))),
        checkpoint_age_seconds=draw(st.floats(0, 4000)),
    )


@st.composite
def _machine(draw: st.DrawFn) -> Machine:
    gpu_watts = draw(st.floats(80, 700))
    feed = draw(st.integers(0, 100)) / 100
    idle = draw(st.floats(500, 2500))
    return Machine(
        node=AssetId(f"n{draw(st.integers(1, 10**9))}"),
        gpus=8,
        gpu_watts=gpu_watts,
        cap_watts=700.0,
        watts=idle + 8 * gpu_watts,
        idle_watts=idle,
        shares={"site": 1.0, "feed a": feed, "feed b": 1.0 - feed},
        untouchable=draw(st.integers(0, 9)) == 0,
    )


def exact_costs(choices: tuple[tuple[Option, ...], ...], need: dict[str, float]) -> list[float] | None:
    """The least price on each rung from the highest down, each with those above held at their least."""
    model = solver()
    deepest = {(each.what, each.rung): model.addBinary() for rung in choices for each in rung}
    for what in {what for what, _ in deepest}:
        model.addConstr(model.qsum([x for (name, _), x in deepest.items() if name == what]) <= 1)
    for place, watts in need.items():
        terms = []
        for (what, rung), x in deepest.items():
            given_ = [e.relief.get(place, 0.0) for each in choices[: rung + 1] for e in each if e.what == what]
            if sum(given_) > 1e-6:
                terms.append(x * sum(given_))
        if terms:
            model.addConstr(model.qsum(terms) >= watts)
    found = []
    for each_rung in reversed(choices):
        cost = model.qsum([deepest[each.what, each.rung] * each.lost_gpu_seconds for each in each_rung])
        least = solved(model, cost)
        if least is None:
            return None
        found.append(least)
        model.addConstr(cost <= least + 1e-5 * max(1.0, least))
    return found[::-1]


@settings(max_examples=200, deadline=None)
@given(surveys(), st.floats(0.02, 0.98))
def test_a_plan_takes_the_least_from_those_who_matter_most_as_the_exact_solver_does(
    survey: Survey, share: float
) -> None:
    prices = Prices()
    choices = options(survey, prices)
    total = {place: sum(each.relief.get(place, 0.0) for rung in choices for each in rung) for place in PLACES}
    if total["site"] <= 1:
        return
    need = {"site": share * total["site"], "feed a": 0.8 * share * total["feed a"]}
    exact = exact_costs(choices, need)
    ours = plan(survey, need, prices)
    assert exact is not None
    assert not ours.unmet
    by_rung = [0.0] * len(RUNGS)
    for step in ours.steps:
        rung = RUNGS.index(step.rung)
        by_rung[rung] += sum(e.lost_gpu_seconds for e in choices[rung] if e.what == step.what)
    for rung in reversed(range(len(RUNGS))):
        assert abs(by_rung[rung] - exact[rung]) <= 1e-4 * max(1.0, exact[rung]), RUNGS[rung].name
    assert sum(step.lost_gpu_seconds for step in ours.steps) == ours.lost_gpu_seconds

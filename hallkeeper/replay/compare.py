"""Two rule sets over the same recording: what each found that the other did not. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from hallkeeper.replay.findings import Difference, Episode, Findings, Remedy, RuleDifference

_Key = tuple[str, int]
"""Series of a rule, and which of its episodes."""


def difference(here: Findings, against: Findings) -> Difference:
    """How `here` differs from `against`, rule by rule in the order of their uids."""
    ours, theirs = _by_rule(here.episodes), _by_rule(against.episodes)
    fired_here = {line.rule: line.fired for line in here.rules}
    fired_there = {line.rule: line.fired for line in against.rules}
    found = [
        _rule(uid, fired_here.get(uid), fired_there.get(uid), ours.get(uid, {}), theirs.get(uid, {}))
        for uid in sorted(fired_here.keys() | fired_there.keys())
    ]
    treated, treated_there = _treated(here.remedies), _treated(against.remedies)
    return Difference(
        rules=tuple(line for line in found if line is not None),
        same=sum(line is None for line in found),
        remedies_only_here=tuple(sorted(treated - treated_there)),
        remedies_only_against=tuple(sorted(treated_there - treated)),
    )


def _by_rule(episodes: Sequence[Episode]) -> Mapping[str, Mapping[_Key, int]]:
    """By rule: when the n-th episode of each of its series fired."""
    found: dict[str, dict[_Key, int]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for episode in episodes:
        if episode.firing_ms is not None:
            key = episode.key
            counts[key] += 1
            found[episode.rule][key, counts[key]] = episode.firing_ms
    return found


def _rule(
    uid: str, here: int | None, there: int | None, ours: Mapping[_Key, int], theirs: Mapping[_Key, int]
) -> RuleDifference | None:
    """One rule; None where both found the same."""
    both = ours.keys() & theirs.keys()
    moves = sorted(theirs[key] - ours[key] for key in both if theirs[key] != ours[key])
    only_here, only_there = len(ours.keys() - both), len(theirs.keys() - both)
    if here is not None and there is not None and not (moves or only_here or only_there or here != there):
        return None
    return RuleDifference(
        rule=uid,
        change=_change(here, there, only_here, only_there),
        fired=here or 0,
        fired_against=there or 0,
        only_here=only_here,
        only_against=only_there,
        moved=len(moves),
        earlier_seconds=median(moves) / 1000 if moves else 0.0,
    )


def _change(here: int | None, there: int | None, only_here: int, only_there: int) -> str:
    if there is None:
        return "added"
    if here is None:
        return "removed"
    if here != there:
        return "louder" if here > there else "quieter"
    return "other_series" if only_here or only_there else "moved"


def _treated(remedies: Iterable[Remedy]) -> set[str]:
    """Playbook and target of what would have been done."""
    return {f"{remedy.playbook} {remedy.target}" for remedy in remedies if remedy.decided_ms is not None}

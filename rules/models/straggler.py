"""Which rank of a job is slower than its peers, and by how much: against the median of its job, which a straggler cannot move.

The idea is NVRx's straggler detection: compare each rank's own work with its peers'. What is read is the time that a rank
spends in a step itself; where a job only tells the step's wall time, all its ranks say the same and none is slow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Codes, Floats, Rows
from rules.models.port import Input, Kept, Output, Series, Step

FEWEST_RANKS: Final = 4
"""Below it a job has no peers to compare with; a default to tune."""
SIGMA_PER_MAD: Final = 1.4826
"""Standard deviations of a normal distribution per median absolute deviation."""
SMALLEST_SPREAD: Final = 0.005
"""Of the median: ranks that agree better than half a percent are not told apart by chance; a default to tune."""
STEPS: Final = "steps"
RATIO: Final = "job_rank_slowdown_ratio"
SCORE: Final = "job_rank_slowdown_score"


@dataclass(frozen=True)
class Straggler:
    """Ranks against the median of their job, once in ten seconds."""

    name: str = "straggler"
    interval_ms: int = 10_000

    @property
    def reads(self) -> Mapping[str, str]:
        """Mean duration of each rank's steps over the last minute."""
        return {STEPS: 'avg_over_time(job_step_duration_seconds{job_id!="", rank!=""}[1m])'}

    @property
    def writes(self) -> frozenset[str]:
        """The rank's slowness as a share of the median, and in robust standard deviations."""
        return frozenset({RATIO, SCORE})

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """Compare the ranks of each job."""
        del at_ms, kept
        steps = inputs[STEPS]
        if not isinstance(steps, Series):
            return Step()
        ratio, score, judged = slowness(steps.labels.codes("job_id"), steps.values, steps.present)
        return Step([Output(RATIO, steps.labels, ratio, judged), Output(SCORE, steps.labels, score, judged)])


def slowness(jobs: Codes, seconds: Floats, present: Bools) -> tuple[Floats, Floats, Bools]:
    """For each row how much slower than its job's median it is: as a share, in robust standard deviations, and whether said.

    `jobs` groups the rows. A row of a job with too few ranks, or whose time is no positive number, is not judged.
    """
    ratio, score = np.zeros(len(seconds)), np.zeros(len(seconds))
    judged = present & (seconds > 0) & np.isfinite(seconds)
    rows = np.flatnonzero(judged)
    _, found, sizes = np.unique(jobs[rows], return_inverse=True, return_counts=True)
    groups, counts = found.astype(np.int64), sizes.astype(np.int64)
    middle = _medians(groups, seconds[rows], counts)[groups]
    spread = _medians(groups, np.abs(seconds[rows] - middle), counts)[groups]
    ratio[rows] = seconds[rows] / middle - 1.0
    score[rows] = (seconds[rows] - middle) / np.maximum(SIGMA_PER_MAD * spread, SMALLEST_SPREAD * middle)
    judged[rows] = counts[groups] >= FEWEST_RANKS
    return ratio, score, judged


def _medians(groups: Rows, values: Floats, counts: Rows) -> Floats:
    """The median of each group; of an even number the mean of the middle two."""
    ordered = values[np.lexsort((values, groups))]
    first = np.cumsum(counts) - counts
    medians: Floats = (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2]) / 2.0
    return medians

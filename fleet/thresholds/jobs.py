"""Thresholds of jobs and their schedulers (entries D of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fleet.thresholds.threshold import Threshold

TUNE: Final = "default to tune"


def _count(default: float, meaning: str, source: str = TUNE) -> Threshold:
    return Threshold(default, "1", meaning, source, low=0.0, high=1e6)


def _seconds(default: float, meaning: str, source: str = TUNE) -> Threshold:
    return Threshold(default, "seconds", meaning, source, low=1.0, high=86_400.0)


def _share(default: float, meaning: str, source: str = TUNE) -> Threshold:
    return Threshold(default, "ratio", meaning, source, low=0.0, high=1.0)


JOBS: Mapping[str, Threshold] = MappingProxyType(
    {
        "nodes_not_ready_count": _count(3.0, "So many nodes are lost together (D02)"),
        "nodes_not_ready_ratio": _share(
            0.2, "Such a share of a zone's nodes is lost together (D02)", "EKS stops repairs there; Kubernetes at 55 %"
        ),
        "instruments_silent_ratio": _share(0.3, "Such a share of one kind of instrument is silent together (D02)"),
        "container_restarts_count": _count(3.0, "A container restarted so often within ten minutes (D03)"),
        "pod_terminating_seconds": _seconds(60.0, "A pod is still there after its deletion (D04)"),
        "job_resume_seconds": _seconds(90.0, "A job makes no step after a fault (D06)", "the site's promise"),
        "job_restarts_count": _count(3.0, "A job restarted so often within 30 minutes (D07)"),
        "checkpoint_age_ratio": Threshold(
            2.0, "ratio", "A checkpoint is so many of its intervals old (D08)", TUNE, low=1.0, high=100.0
        ),
        "spare_nodes_low_count": _count(2.0, "Too few warm, healthy nodes wait for a job (D10)"),
        "spare_nodes_low_ratio": _share(0.01, "Such a share of all nodes is warm and waits for a job (D10)"),
        "gang_wait_seconds": _seconds(30.0, "A job finds no place for all its ranks (D15)"),
    }
)

"""Every action there is, one file each with what takes it back beside it. Data only: nothing here commands anything."""

from collections.abc import Mapping
from types import MappingProxyType

from remediator.actions import (
    admissions,
    bess,
    bmc_cold_reset,
    checkpoint,
    checkpoint_annotate,
    checkpoint_http,
    cooling,
    cordon,
    dcmi_power_limit,
    delete_pod,
    evict,
    gpu_power_limit,
    gpu_reset,
    isolation_request,
    node_power,
    out_of_service,
    outlet_power,
    page,
    rack_power,
    reboot,
    redfish_power_limit,
    scale,
    slurm_drain,
    slurm_hold,
    slurm_requeue,
    slurm_reserve,
    slurm_signal,
    slurm_suspend,
    soft_off,
    suspend_job,
    taint,
    ticket,
)
from remediator.actions.action import EVERY_ACT, Action, Fence
from remediator.actions.terms import Verb

__all__ = ["ACTIONS", "EVERY_ACT", "Action", "Fence"]

_FILES = (
    admissions,
    bess,
    bmc_cold_reset,
    checkpoint,
    checkpoint_annotate,
    checkpoint_http,
    cooling,
    cordon,
    dcmi_power_limit,
    delete_pod,
    evict,
    gpu_power_limit,
    gpu_reset,
    isolation_request,
    node_power,
    out_of_service,
    outlet_power,
    page,
    rack_power,
    reboot,
    redfish_power_limit,
    scale,
    slurm_drain,
    slurm_hold,
    slurm_requeue,
    slurm_reserve,
    slurm_signal,
    slurm_suspend,
    soft_off,
    suspend_job,
    taint,
    ticket,
)

ACTIONS: Mapping[Verb, Action] = MappingProxyType({action.verb: action for file in _FILES for action in file.ACTIONS})
"""By verb."""

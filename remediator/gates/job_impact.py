"""A large job is a person's to interrupt."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import ActionClass, Cause

GPUS_WITHOUT_ASKING = 512
"""A job above so many GPUs is interrupted only with a person's yes (default to tune)."""


def within_job_impact(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Acts of class A2 and more on a large living job need approval; a dead node's job is interrupted already."""
    if proposal.traits.class_ < ActionClass.A2 or proposal.cause is Cause.SILENCE or proposal.restores:
        return None
    for job in facts.jobs:
        if job.gpus > GPUS_WITHOUT_ASKING and not valid_approvals(facts):
            return Refusal("job_impact", f"{job.job} runs on {job.gpus} GPUs: a person decides", ask=True)
    return None


def valid_approvals(facts: Facts) -> frozenset[str]:
    """The people whose yes to exactly this plan still holds."""
    return frozenset(
        approval.actor
        for approval in facts.approvals
        if approval.plan == facts.plan
        and approval.expires_at_ms > facts.now_ms
        and approval.role in {"operator", "admin"}
    )

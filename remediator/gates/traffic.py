"""Not too many at a time, and not too fast."""

from remediator.facts import Facts, Proposal, Refusal


def within_traffic(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Concurrency per class and per device, and sends a minute per class."""
    traffic = facts.traffic
    class_ = proposal.traits.class_.name
    if traffic.running_on_device >= traffic.device_allowed:
        return Refusal("device_busy", f"{proposal.device} has {traffic.running_on_device} acts under way")
    if traffic.running_in_class >= traffic.running_allowed:
        return Refusal("concurrency", f"{traffic.running_in_class} acts of class {class_} are under way")
    if traffic.sent_last_minute >= traffic.rate_per_minute:
        return Refusal("rate", f"{traffic.sent_last_minute} acts of class {class_} in the last minute")
    return None

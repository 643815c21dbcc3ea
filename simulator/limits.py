"""How many open files a simulated site needs, and how to be allowed them."""

import resource

from simulator.layout import Layout


def wanted_files(layout: Layout) -> int:
    """Descriptors that a site of this size needs, with eight connections a node."""
    return 256 + 3 * len(layout.pdus) + 11 * layout.node_count


def raise_file_limit(needed: int) -> None:
    """Lift the soft limit of open files as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(needed, hard) if hard != resource.RLIM_INFINITY else needed, hard)
        )

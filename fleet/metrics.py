"""The register of known metrics: what a number means, its unit, and what of it is plausible.

Decoders scale to it, quality marks judge by it, `rules check` knows names from it, the documentation is made of it.
The table itself lies by area in `fleet/register/`.
"""

from fleet.register import METRICS
from fleet.register.metric import Metric
from fleet.register.page import markdown

__all__ = ["METRICS", "Metric", "markdown"]

if __name__ == "__main__":
    import sys

    sys.stdout.write(markdown())

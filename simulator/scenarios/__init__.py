"""What may happen to the site, and what must and must not follow: the scenarios as YAML, their schema, and their course.

- `schema`: what a file may say; `load`: files in, scenarios out, every mistake with file, line and column
- `course`: begins and heals the faults of a scenario as virtual time passes; `bounds`: judges the physical limits
- `*.yaml`: the scenarios; a file with variants is one scenario for each of them, and for itself

It must never judge what the product said or did: whoever runs product and plant together does that.
"""

from simulator.scenarios.load import SHIPPED, ScenarioError, load_scenarios
from simulator.scenarios.schema import Scenario

__all__ = ["SHIPPED", "Scenario", "ScenarioError", "load_scenarios"]

"""What PromQL cannot say well: pure functions over the window that publish series, so that every rule stays plain PromQL.

`port` says what a model is; `runner` runs those whose series somebody reads. Adding one is one file here and its name in
`MODELS`. This folder never fires an alert, never acts, and never holds a threshold at which something is done: a model
measures, a rule judges.
"""

from typing import Final

from rules.models.fouling import Fouling
from rules.models.lemon import Lemon
from rules.models.paced import CONDENSATION
from rules.models.port import Model
from rules.models.power import BreakerHeat, FeederOscillation
from rules.models.straggler import Straggler
from rules.models.trust import Trust

MODELS: Final[tuple[Model, ...]] = (
    Trust(),
    CONDENSATION,
    Fouling(),
    BreakerHeat(),
    FeederOscillation(),
    Straggler(),
    Lemon(),
)
"""Every shipped model."""

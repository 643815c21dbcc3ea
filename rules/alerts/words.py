"""An alert's annotations, written when somebody reads them: a storm's are expanded on their way to the bus, not in the pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from rules.alerts.alert import Alert
from rules.alerts.naming import Around
from rules.files.model import AlertRule
from rules.templates import Surroundings
from rules.templates.surroundings import NOWHERE


@dataclass(slots=True, eq=False)
class Words(Mapping[str, str]):
    """The texts as they were at the evaluation, whenever they are read; expanded once."""

    rule: AlertRule
    element: Mapping[str, str]
    value: float
    around: Surroundings
    _texts: dict[str, str] | None = field(default=None)

    def texts(self) -> dict[str, str]:
        """All of them."""
        if self._texts is None:
            found = self.rule.annotations.items()
            self._texts = {name: text.expand(self.element, self.value, self.around) for name, text in found}
        return self._texts

    def __getitem__(self, name: str) -> str:
        return self.texts()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rule.annotations)

    def __len__(self) -> int:
        return len(self.rule.annotations)


def words(rule: AlertRule, alert: Alert, around: Around) -> Mapping[str, str]:
    """What the rule says of the alert now; templates see the element's labels, as in Prometheus.

    What asks the window is asked at once: a later answer would be another one.
    """
    texts = rule.annotations
    if all(text.constant for text in texts.values()):
        return {name: text.source for name, text in texts.items()}
    seen = around()
    if any(text.asks for text in texts.values()):
        return {name: text.expand(alert.element, alert.value, seen) for name, text in texts.items()}
    return Words(rule, alert.element, alert.value, _without_window(seen))


def _without_window(seen: Surroundings) -> Surroundings:
    """The same without what leads to the window: a text that waits must not hold a pass's arrays."""
    return replace(seen, query=NOWHERE.query)

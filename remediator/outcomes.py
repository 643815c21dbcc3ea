"""How an attempt can end: a closed union, matched exhaustively."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class _Ended:
    text: str = ""

    @property
    def name(self) -> str:
        """The word on the bus."""
        return type(self).__name__


class Succeeded(_Ended):
    """Done, and proven by an instrument other than the one commanded."""


class TransientFailure(_Ended):
    """It had no effect: not sent, refused for now, or read back as not done. A further try is a new intent."""


class PermanentFailure(_Ended):
    """The device said no and will say no again."""


class Ambiguous(_Ended):
    """Sent, no answer, and nothing can be read that would settle it: a person looks."""


class Unproven(_Ended):
    """The device says done and the independent instrument does not show it: that actuator is not believed."""


class Cancelled(_Ended):
    """Never sent; it satisfies no later step."""


class Superseded(_Ended):
    """A stronger remedy owns the target now."""


Outcome: TypeAlias = Succeeded | TransientFailure | PermanentFailure | Ambiguous | Unproven | Cancelled | Superseded
OUTCOMES: dict[str, type[Outcome]] = {
    kind.__name__: kind
    for kind in (Succeeded, TransientFailure, PermanentFailure, Ambiguous, Unproven, Cancelled, Superseded)
}


def outcome_named(name: str, text: str = "") -> Outcome:
    """The outcome of that word. Raises `KeyError` for a word that is none."""
    return OUTCOMES[name](text)

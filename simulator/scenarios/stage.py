"""A scenario over the real protocols: begun by the control API, its faults by the plant's time, its bounds judged at each step."""

from dataclasses import dataclass

from simulator.faults import Faults
from simulator.scenarios.bounds import Watch
from simulator.scenarios.course import Course
from simulator.scenarios.schema import Scenario


@dataclass(slots=True)
class Stage:
    """One scenario on one running site."""

    scenario: Scenario
    faults: Faults
    _course: Course | None = None
    _watch: Watch | None = None

    def begin(self) -> None:
        """Its first moment is now; once only."""
        if self._course is None:
            now = self.faults.reach.plant.now
            self._course = Course(self.scenario, self.faults, now)
            self._watch = Watch(self.faults.reach.plant, self.scenario.bounds, now)

    def before_step(self) -> None:
        """Begin and heal what is due."""
        if self._course is not None:
            self._course.step()

    def after_step(self) -> None:
        """Judge the bounds."""
        if self._watch is not None and not self._over():
            self._watch.look()

    def _over(self) -> bool:
        return self._course is not None and self._seconds() > self.scenario.seconds

    def _seconds(self) -> float:
        return self.faults.reach.plant.now - (self._course.begun_at if self._course else self.faults.reach.plant.now)

    def as_json(self) -> dict[str, object]:
        """How far it is, and which bounds were broken."""
        return {
            "scenario": self.scenario.scenario,
            "begun": self._course is not None,
            "over": self._over(),
            "seconds": round(self._seconds(), 3),
            "broken": [str(broken) for broken in (self._watch.broken if self._watch else ())],
        }

"""A live window as lists: every sample that was put in, by name and labels."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping

from rules.query import Sample


def _at(sample: Sample) -> int:
    return sample.at_ms


class FakeWindow:
    """Holds what tests put in."""

    def __init__(self) -> None:
        self._series: dict[str, dict[tuple[tuple[str, str], ...], list[Sample]]] = defaultdict(dict)
        self._of_asset: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], list[Sample]]] = defaultdict(dict)

    def put(self, name: str, value: float, at_ms: int, *, quality: int = 0, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        row = self._series[name].setdefault(key, [])
        if not row and "asset" in labels:
            self._of_asset[name, labels["asset"]][key] = row
        row.append(Sample(labels, value, at_ms, quality))
        del row[:-400]

    def end(self, name: str, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        self._series[name].pop(key, None)
        self._of_asset[name, labels.get("asset", "")].pop(key, None)

    def latest(self, name: str, matchers: Mapping[str, str]) -> list[Sample]:
        return [row[-1] for row in self._matching(name, matchers)]

    def since(self, name: str, matchers: Mapping[str, str], since_ms: int) -> list[Sample]:
        rows = self._matching(name, matchers)
        found = [sample for row in rows for sample in row[bisect_right(row, since_ms, key=_at) :]]
        return sorted(found, key=_at) if len(rows) > 1 else found

    def _matching(self, name: str, matchers: Mapping[str, str]) -> list[list[Sample]]:
        wanted = {label: str(value) for label, value in matchers.items()}
        exact = self._series[name].get(tuple(sorted(wanted.items())))
        if exact:
            return [exact]
        near = self._of_asset[name, wanted["asset"]] if "asset" in wanted else self._series[name]
        return [row for key, row in near.items() if row and wanted.items() <= dict(key).items()]

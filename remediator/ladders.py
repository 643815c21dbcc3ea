"""Puts ladders together: shared pieces of steps, and `then`, the playbook that follows where this one's rungs are used up."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.document import Document
from fleet.errors import Problem


class Ladders:
    """The ladders of some files as plain data, each with what follows it; problems are added to the list given."""

    def __init__(self, documents: Sequence[Document], pieces: Mapping[str, list[Any]], problems: list[Problem]) -> None:
        self._pieces = pieces
        self._problems = problems
        self._documents = documents
        self._data: dict[str, dict[str, Any]] = {}
        for document in documents:
            data = document.data
            assert isinstance(data, dict)
            self._data.setdefault(str(data.get("playbook")), data)
        self._known = {str(rung.get("rung")) for data in self._data.values() for rung in _rungs(data)}

    def whole(self) -> Iterator[tuple[Document, dict[str, Any]]]:
        """Each file's playbook with its whole ladder; anything misshapen stays for the schema to refuse."""
        for document in self._documents:
            data = document.data
            assert isinstance(data, dict)
            whole = {name: value for name, value in data.items() if name != "then"}
            if isinstance(data.get("ladder"), list) or "then" in data:
                whole["ladder"] = self._reachable(self._ladder(document, data))
            yield document, whole

    def _ladder(self, document: Document, data: dict[str, Any]) -> list[Any]:
        own = self._own(document, data, report=True)
        seen, at = {str(data.get("playbook"))}, data
        while "then" in at:
            follows = str(at["then"])
            further = self._data.get(follows)
            if further is None or follows in seen:
                known = ", ".join(sorted(set(self._data) - seen))
                why = "comes back to itself" if further is not None else f"names no playbook: {follows!r}"
                self._problems.append(document.problem(("then",), why, f"one of: {known}"))
                break
            following = self._own(document, further, report=False)
            own += [{**rung, "of": follows} if isinstance(rung, dict) else rung for rung in following]
            seen.add(follows)
            at = further
        return own

    def _own(self, document: Document, data: dict[str, Any], *, report: bool) -> list[Any]:
        ladder = data.get("ladder", [])
        if not isinstance(ladder, list):
            return []
        problems = self._problems if report else []
        return [self._rung(document, place, rung, problems) for place, rung in enumerate(ladder)]

    def _rung(self, document: Document, place: int, rung: Any, problems: list[Problem]) -> Any:
        if not isinstance(rung, dict) or not isinstance(rung.get("steps"), list):
            return rung
        steps: list[Any] = []
        for index, step in enumerate(rung["steps"]):
            if not (isinstance(step, dict) and "use" in step):
                steps.append(step)
            elif set(step) == {"use"} and step["use"] in self._pieces:
                steps.extend(self._pieces[str(step["use"])])
            else:
                known = ", ".join(sorted(self._pieces)) or "none"
                loc = ("ladder", place, "steps", index)
                problems.append(document.problem(loc, f"there is no piece {step['use']!r}", f"one of: {known}"))
        self._after(document, place, rung, problems)
        return {**rung, "steps": steps}

    def _after(self, document: Document, place: int, rung: dict[str, Any], problems: list[Problem]) -> None:
        for index, name in enumerate(rung.get("after", ()) if isinstance(rung.get("after", ()), list) else ()):
            if str(name) not in self._known:
                loc = ("ladder", place, "after", index)
                problems.append(document.problem(loc, f"there is no rung {name!r}", "a rung of this or another file"))

    def _reachable(self, ladder: list[Any]) -> list[Any]:
        """`after` may name rungs of playbooks that lead here; where this one begins there is nothing to wait for."""
        names = {rung.get("rung") for rung in ladder if isinstance(rung, dict)}
        return [
            {**rung, "after": [name for name in rung["after"] if name in names]}
            if isinstance(rung, dict) and isinstance(rung.get("after"), list)
            else rung
            for rung in ladder
        ]


def _rungs(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    ladder = data.get("ladder")
    return [rung for rung in ladder if isinstance(rung, dict)] if isinstance(ladder, list) else []

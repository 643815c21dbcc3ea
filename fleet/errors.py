"""Errors by what the caller does next, and the mistakes that a configuration file can hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class HallkeeperError(Exception):
    """Every error that Hallkeeper raises on purpose: the message says what was wrong, where, and what to try."""


class Unreachable(HallkeeperError):
    """The device stayed silent: retry a read later, never a write."""


class Refused(HallkeeperError):
    """The device answered and said no: tell a human, a retry will not help."""


class Ambiguous(HallkeeperError):
    """Sent, and no answer came: never resend, look."""


class Malformed(HallkeeperError):
    """The answer cannot be decoded: quarantine it, keep the neighbours."""


class UnknownAsset(HallkeeperError, KeyError):
    """No asset of that id in the inventory: no asset, no act."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "unknown asset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a file: where it is, what is wrong, what to try."""

    file: str
    line: int
    """From 1; 0 where the whole file is meant."""
    column: int
    """From 1; 0 where the whole file is meant."""
    path: str
    """Place in the document, such as `halls[0].rows[1].zone`; empty for the whole file."""
    message: str
    suggestion: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        try_this = f", try {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {where}{self.message}{try_this}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems in the order of the file, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column, problem.path)))


class ConfigurationError(HallkeeperError):
    """A file that cannot be used: all its mistakes at once, one a line; nothing of it is loaded."""

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SiteError(ConfigurationError):
    """`site.yaml` is wrong; `.problems` lists every mistake."""


class SettingsError(ConfigurationError):
    """`hallkeeper.yaml` is wrong; `.problems` lists every mistake."""


class SecretError(HallkeeperError):
    """A secret cannot be read: absent, readable by others, or not what its file should hold. Never shows the value."""

"""Regular expressions as Prometheus reads them (RE2 syntax, anchored, dot matches newline), on Python's engine.

What both understand alike is translated; what only one of them has (look-around, back references, possessive
quantifiers, Unicode classes) is refused, so that no pattern silently means something else.
"""

import re
from typing import Final

_CLASSES: Final = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\t\n\f\r ",
}
_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_CONTROLS: Final = frozenset("aftnrv")
_REPEAT: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_MOST_REPEATS: Final = 1000
"""RE2's own limit."""
_FLAGS: Final = re.compile(r"\?([ims]*)(?:-([ims]+))?([:)])")
_GROUP_NAME: Final = re.compile(r"\?P?<([A-Za-z_]\w*)>")


class UnsupportedPattern(ValueError):
    """The pattern is not RE2's, or means something else to Python."""


def compiled(pattern: str, *, dot_matches_newline: bool = True) -> re.Pattern[str]:
    """A pattern, for `fullmatch` where it is a matcher's. Raises `UnsupportedPattern`."""
    translated = _Translation(pattern).run()
    try:
        return re.compile(translated, re.ASCII | (re.DOTALL if dot_matches_newline else 0))
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsupportedPattern(f"regular expression {pattern!r}: {error}") from error


class _Translation:
    """One left-to-right pass over a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.out: list[str] = []
        self.quantifiable = False
        """Whether a quantifier may come now: Python reads a second one as possessive."""
        self.open: list[list[str]] = [[]]
        """The groups that are open, the whole pattern first, each with the flags that hold to its end."""

    def fail(self, what: str) -> UnsupportedPattern:
        return UnsupportedPattern(f"regular expression {self.pattern!r}: {what} at character {self.at + 1}")

    def run(self) -> str:
        while self.at < len(self.pattern):
            self._step(self.pattern[self.at])
        return "".join(self.out) + ")" * len(self.open[0])

    def _close(self) -> None:
        if len(self.open) == 1:
            raise self.fail("a group ends that did not begin")
        self._emit(")" * len(self.open.pop()) + ")", 1, quantifiable=True)

    def _step(self, char: str) -> None:
        if char == "\\":
            self._escape()
        elif char == "[":
            self._set()
        elif char == "(":
            self._group()
        elif char in "*+?":
            self._quantifier(char)
        elif char == "{":
            self._braces()
        elif char == "$":
            self._emit(r"\Z", 1, quantifiable=False)
        elif char == "|":
            flags = self.open[-1]
            self._emit(")" * len(flags) + "|" + "".join(flags), 1, quantifiable=False)
        elif char == "^":
            self._emit(char, 1, quantifiable=False)
        elif char == ")":
            self._close()
        else:
            self._emit(char if char == "." else re.escape(char), 1, quantifiable=True)

    def _emit(self, text: str, consumed: int, *, quantifiable: bool) -> None:
        self.out.append(text)
        self.at += consumed
        self.quantifiable = quantifiable

    def _quantifier(self, text: str) -> None:
        if not self.quantifiable:
            raise self.fail("nothing to repeat, or a repetition of a repetition")
        self._emit(text, len(text), quantifiable=False)
        if self.at < len(self.pattern) and self.pattern[self.at] == "?":
            self._emit("?", 1, quantifiable=False)

    def _braces(self) -> None:
        found = _REPEAT.match(self.pattern, self.at)
        if found is None:  # RE2 takes a brace that is no repetition literally
            self._emit(r"\{", 1, quantifiable=True)
            return
        least, most = int(found[1]), int(found[3]) if found[3] else int(found[1])
        if max(least, most) > _MOST_REPEATS or most < least:
            raise self.fail("repetition count out of range")
        self._quantifier(found.group())

    def _group(self) -> None:
        rest = self.pattern[self.at + 1 :]
        if not rest.startswith("?"):
            self._emit("(", 1, quantifiable=False)
            self.open.append([])
            return
        named, flags = _GROUP_NAME.match(rest), _FLAGS.match(rest)
        if named is not None:
            self._emit(f"(?P<{named[1]}>", 1 + named.end(), quantifiable=False)
            self.open.append([])
        elif flags is None:
            raise self.fail("this kind of group is not RE2's (no look-around, no conditions), try plain groups")
        elif flags[3] == ")":
            self._flags_from_here(flags[1], flags[2] or "", 1 + flags.end())
        else:
            self._check_fold(flags[1])
            off = f"-{flags[2]}" if flags[2] else ""
            self._emit(f"(?{flags[1]}{off}:", 1 + flags.end(), quantifiable=False)
            self.open.append([])

    def _flags_from_here(self, on: str, off: str, consumed: int) -> None:
        """RE2's flags hold to the end of their group, over its alternatives too: each gets a group with them."""
        self._check_fold(on)
        opening = f"(?{on}-{off}:" if off else f"(?{on}:"
        self._emit(opening, consumed, quantifiable=False)
        self.open[-1].append(opening)

    def _check_fold(self, flags: str) -> None:
        if "i" in flags and not self.pattern.isascii():
            raise self.fail("(?i) over letters beyond ASCII folds differently in RE2, try spelling both cases")
        if "m" in flags:
            raise self.fail("(?m) is not supported, try a pattern over the whole value")

    def _escape(self) -> None:
        text, inside, consumed = self._escaped(self.at)
        self._emit(f"[{text}]" if inside else text, consumed, quantifiable=text not in {"", r"\b", r"\B", r"\A", r"\Z"})

    def _escaped(self, at: int) -> tuple[str, bool, int]:
        """An escape's translation, whether it is the inside of a set, and its length."""
        if at + 1 >= len(self.pattern):
            raise self.fail("trailing backslash")
        char = self.pattern[at + 1]
        if char in _CLASSES:
            return _CLASSES[char], True, 2
        if char in "DWS":
            return "^" + _CLASSES[char.lower()], True, 2
        if char in "bBA":
            return "\\" + char, False, 2
        if char == "z":
            return r"\Z", False, 2
        if char in _CONTROLS or not char.isalnum():
            return ("\\" + char if char in _CONTROLS else re.escape(char)), False, 2
        if char == "x":
            return self._hexadecimal(at)
        if char == "Q":
            return self._quoted(at)
        raise self.fail(f"escape \\{char} is not supported")

    def _hexadecimal(self, at: int) -> tuple[str, bool, int]:
        found = re.compile(r"\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})").match(self.pattern, at)
        if found is None or int(found[1] or found[2], 16) > 0x10FFFF:
            raise self.fail("hexadecimal escape is not one")
        return re.escape(chr(int(found[1] or found[2], 16))), False, found.end() - at

    def _quoted(self, at: int) -> tuple[str, bool, int]:
        end = self.pattern.find(r"\E", at + 2)
        inside = self.pattern[at + 2 : end if end >= 0 else len(self.pattern)]
        return re.escape(inside), False, len(inside) + (4 if end >= 0 else 2)

    def _set(self) -> None:
        at, pieces = self.at + 1, ["["]
        if self.pattern[at : at + 1] == "^":
            pieces.append("^")
            at += 1
        first = True
        while True:
            char = self.pattern[at : at + 1]
            if not char:
                raise self.fail("set without its closing bracket")
            if char == "]" and not first:
                break
            text, at = self._member(char, at)
            pieces.append(text)
            first = False
        self._emit("".join(pieces) + "]", at + 1 - self.at, quantifiable=True)

    def _member(self, char: str, at: int) -> tuple[str, int]:
        """One member of a set, and where the next begins."""
        if char == "[" and self.pattern[at + 1 : at + 2] == ":":
            end = self.pattern.find(":]", at)
            name = self.pattern[at + 2 : end]
            if end < 0 or name not in _POSIX:
                raise self.fail("unknown character class")
            return _POSIX[name], end + 2
        if char == "\\":
            text, inside, consumed = self._escaped(at)
            if text.startswith("^") or text in {r"\b", r"\B", r"\A", r"\Z"} or self.pattern[at + 1] == "Q":
                raise self.fail(f"{self.pattern[at : at + 2]} inside a set is not supported")
            return text if inside else re.escape(text) if len(text) == 1 else text, at + consumed
        return char if char == "-" else re.escape(char), at + 1

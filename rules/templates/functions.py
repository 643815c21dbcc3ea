"""The functions that templates may call, as Prometheus and Go define them."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from rules.promql.regex import UnsupportedPattern, compiled
from rules.templates.gofmt import general, plain, printf
from rules.templates.mistake import FunctionError
from rules.templates.samples import SAMPLES
from rules.templates.texts import TEXTS

_LARGE: Final = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL: Final = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY: Final = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


def number(value: object) -> float:
    """A number, or text that holds one."""
    if isinstance(value, bool) or value is None:
        raise FunctionError(f"can't convert {plain(value)} to float")
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(str(value))
    except ValueError as error:
        raise FunctionError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from error


def _special(value: float) -> bool:
    return math.isnan(value) or math.isinf(value)


def humanize(value: object) -> str:
    """With SI prefixes, four digits."""
    amount = number(value)
    if amount == 0 or _special(amount):
        return general(amount, 4)
    return _scaled_up(amount, _LARGE, 1000) if abs(amount) >= 1 else _scaled_down(amount)


def _scaled_up(amount: float, prefixes: tuple[str, ...], step: int) -> str:
    prefix = ""
    for larger in prefixes:
        if abs(amount) < step:
            break
        prefix = larger
        amount /= step
    return general(amount, 4) + prefix


def _scaled_down(amount: float) -> str:
    prefix = ""
    for smaller in _SMALL:
        if abs(amount) >= 1:
            break
        prefix = smaller
        amount *= 1000
    return general(amount, 4) + prefix


def humanize1024(value: object) -> str:
    """With binary prefixes."""
    amount = number(value)
    if abs(amount) <= 1 or _special(amount):
        return general(amount, 4)
    return _scaled_up(amount, _BINARY, 1024)


def humanize_duration(value: object) -> str:
    """Seconds as days, hours, minutes, seconds, or as parts of a second."""
    amount = number(value)
    if _special(amount):
        return general(amount, 4)
    if amount == 0:
        return general(amount, 4) + "s"
    if abs(amount) < 1:
        return _scaled_down(amount) + "s"
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole = int(amount)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while parts and not parts[0][0]:
        parts.pop(0)
    if len(parts) < 2:
        return f"{sign}{general(amount, 4)}s"
    return sign + " ".join(f"{count}{unit}" for count, unit in parts)


def humanize_percentage(value: object) -> str:
    """A ratio as a percentage."""
    return general(number(value) * 100, 4) + "%"


def humanize_timestamp(value: object) -> str:
    """Unix seconds as UTC."""
    amount = number(value)
    if _special(amount):
        return general(amount, 4)
    try:
        at = datetime.fromtimestamp(int(amount * 1000) / 1000, UTC)  # Prometheus counts in milliseconds
    except (OverflowError, ValueError, OSError) as error:
        raise FunctionError(f"{amount} is no time") from error
    fraction = f"{at.microsecond / 1e6:.6f}"[1:].rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def truth(value: object) -> bool:
    """Go's truth: not zero, not empty."""
    return bool(value) and not (isinstance(value, float) and value == 0)


def _replace_all(pattern: object, replacement: object, text: object) -> str:
    from rules.promql.relabel import expanded

    try:
        return compiled(str(pattern), dot_matches_newline=False).sub(
            lambda match: expanded(str(replacement), match), str(text)
        )
    except UnsupportedPattern as error:
        raise FunctionError(str(error)) from error


def _match(pattern: object, text: object) -> bool:
    try:
        return compiled(str(pattern), dot_matches_newline=False).search(str(text)) is not None
    except UnsupportedPattern as error:
        raise FunctionError(str(error)) from error


def _title(text: object) -> str:
    return re.sub(r"(?<![\w'])(\w)", lambda found: found[1].upper(), str(text))


def _comparable(left: object, right: object) -> None:
    kinds = [bool if isinstance(each, bool) else type(each) for each in (left, right)]
    if kinds[0] is not kinds[1]:
        raise FunctionError("incompatible types for comparison")
    if kinds[0] not in {bool, int, float, str}:
        raise FunctionError("invalid type for comparison")


def _equal(first: object, *others: object) -> bool:
    for other in others:
        _comparable(first, other)
    return any(first == other for other in others)


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def compare(left: object, right: object) -> bool:
        _comparable(left, right)
        if isinstance(left, bool):
            raise FunctionError("invalid type for comparison")
        return holds(left, right)

    return compare


def _not_equal(left: object, right: object) -> bool:
    return not _equal(left, right)


def _and(first: object, *others: object) -> object:
    for other in others:
        if not truth(first):
            break
        first = other
    return first


def _or(first: object, *others: object) -> object:
    for other in others:
        if truth(first):
            break
        first = other
    return first


def _print(*values: object) -> str:
    text, previous_text = "", True
    for place, value in enumerate(values):
        is_text = isinstance(value, str)
        text += (" " if place and not is_text and not previous_text else "") + plain(value)
        previous_text = is_text
    return text


def _printf(pattern: object, *values: object) -> str:
    return printf(str(pattern), list(values))


def _index(container: object, *keys: object) -> object:
    for key in keys:
        if isinstance(container, dict):
            container = container.get(key, "")
        elif isinstance(container, list | str) and isinstance(key, int) and not isinstance(key, bool):
            if not 0 <= key < len(container):
                raise FunctionError(f"index out of range: {key}")
            container = container[key] if isinstance(container, list) else container.encode()[key]
        else:
            raise FunctionError(f"can't index item of type {type(container).__name__}")
    return container


def _slice(container: object, *bounds: object) -> object:
    numbers = [bound for bound in bounds if isinstance(bound, int)]
    if not isinstance(container, list | str) or len(numbers) != len(bounds):
        raise FunctionError("slice takes a text or a list, and numbers")
    first, last = (*numbers, *([0, len(container)][len(numbers) :]))[:2]
    if not 0 <= first <= last <= len(container):
        raise FunctionError(f"slice bounds out of range: {first}:{last}")
    return container[first:last]


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list):
        return len(value)
    raise FunctionError(f"len of type {type(value).__name__}")


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        **SAMPLES,
        **TEXTS,
        "humanize": humanize,
        "humanize1024": humanize1024,
        "humanizeDuration": humanize_duration,
        "humanizePercentage": humanize_percentage,
        "humanizeTimestamp": humanize_timestamp,
        "toTime": humanize_timestamp,
        "printf": _printf,
        "print": _print,
        "println": lambda *values: " ".join(plain(value) for value in values) + "\n",
        "title": _title,
        "toUpper": lambda text: str(text).upper(),
        "toLower": lambda text: str(text).lower(),
        "reReplaceAll": _replace_all,
        "match": _match,
        "eq": _equal,
        "ne": _not_equal,
        "lt": _ordered(lambda left, right: left < right),
        "le": _ordered(lambda left, right: left <= right),
        "gt": _ordered(lambda left, right: left > right),
        "ge": _ordered(lambda left, right: left >= right),
        "and": _and,
        "or": _or,
        "not": lambda value: not truth(value),
        "len": _length,
        "index": _index,
        "slice": _slice,
    }
)

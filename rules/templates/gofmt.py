"""Values as Go prints them: `%v`, and the verbs of printf."""

import math
import re
from typing import Final

_VERB: Final = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d*))?(.)", re.DOTALL)
_LARGEST_PLAIN_EXPONENT: Final = 6
"""From here on Go writes the shortest form with an exponent."""
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def plain(value: object) -> str:
    """`%v`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return general(value, -1)
    if isinstance(value, list):
        return "[" + " ".join(plain(each) for each in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{plain(value[name])}" for name in sorted(value)) + "]"
    return str(value)


def general(value: float, precision: int) -> str:
    """`%g` with a precision, or -1 for the shortest text that reads back as the value."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if precision >= 0:
        return f"{value:.{precision or 1}g}"
    digits, exponent = _shortest(value)
    if -4 <= exponent < _LARGEST_PLAIN_EXPONENT:
        return _without_exponent(value)
    return f"{digits}e{exponent:+03d}"


def _shortest(value: float) -> tuple[str, int]:
    """Mantissa and exponent of the shortest scientific notation."""
    if value == 0:
        return ("-0" if math.copysign(1.0, value) < 0 else "0"), 0
    texts = (f"{value:.{precision}e}" for precision in range(17))
    shortest = next((text for text in texts if float(text) == value), f"{value:.16e}")
    mantissa, _, exponent = shortest.partition("e")
    return mantissa, int(exponent)


def _without_exponent(value: float) -> str:
    text = repr(value)
    if "e" in text:
        text = f"{value:.20f}".rstrip("0").rstrip(".")
    return text.removesuffix(".0")


def printf(pattern: str, arguments: list[object]) -> str:
    """Go's Sprintf for text, numbers and truth values."""
    left = list(arguments)

    def one(found: re.Match[str]) -> str:
        flags, width, precision, verb = found[1], found[2], found[3], found[4]
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        text = _formatted(verb, left.pop(0), flags, None if precision is None else int(precision or 0))
        return _padded(text, flags, int(width or 0))

    text = _VERB.sub(one, pattern)
    if left:
        text += "%!(EXTRA " + ", ".join(f"{_type_name(value)}={plain(value)}" for value in left) + ")"
    return text


def _padded(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and text[:1] in "+-" and text:
        return text[0] + text[1:].rjust(width - 1, "0")
    return text.rjust(width, "0" if "0" in flags else " ")


def _formatted(verb: str, value: object, flags: str, precision: int | None) -> str:
    sign = "+" if "+" in flags else " " if " " in flags else ""
    if verb == "v":
        return plain(value)
    if verb in "eEfFgG" and isinstance(value, float):
        return _float(verb, value, sign, precision)
    if verb in "dxXob" and isinstance(value, int) and not isinstance(value, bool):
        return f"{value:{sign}{verb}}"
    if verb == "s" and isinstance(value, str):
        return value if precision is None else value[:precision]
    if verb == "q" and isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(char, char) for char in value) + '"'
    if verb == "t" and isinstance(value, bool):
        return plain(value)
    return f"%!{verb}({_type_name(value)}={plain(value)})"


def _float(verb: str, value: float, sign: str, precision: int | None) -> str:
    if not math.isfinite(value):
        text = general(value, -1)
        return text if sign == "+" else text.removeprefix("+")
    if verb in "gG":
        text = general(value, -1 if precision is None else precision)
        text = text.upper() if verb == "G" else text
        return sign + text if sign and not text.startswith("-") else text
    return f"{value:{sign}.{6 if precision is None else precision}{verb}}"


def _type_name(value: object) -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string"}
    return names.get(type(value), "<nil>" if value is None else "map[string]string")

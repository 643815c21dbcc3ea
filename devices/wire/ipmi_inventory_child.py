"""Run by path in a process of its own: asks one BMC for its inventory with pyghmi and prints it as JSON.

pyghmi keeps module-wide state, loops for ever on some sensor names and prints to stdout; so it lives here, for one
question, and is killed when it takes too long. The account comes over stdin, never in the arguments.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

HASHES = {17: hashlib.sha256, 3: hashlib.sha1}
"""The RAKP hash of each suite: pyghmi falls back to a weaker one by itself, so what it did is checked."""


def inventory(question: dict[str, Any]) -> dict[str, Any]:
    """FRU, firmware and sensor names. Raises whatever pyghmi raises."""
    from pyghmi.exceptions import IpmiException
    from pyghmi.ipmi.command import Command

    command = Command(
        bmc=question["host"],
        port=question["port"],
        userid=question["user"],
        password=question["password"],
        privlevel=question["privilege"],
    )
    session = command.ipmi_session
    if session.ipmiversion != 2.0 or session.currhashlib is not HASHES[question["suite"]]:
        raise PermissionError(f"the BMC would not speak cipher suite {question['suite']} and was not asked further")
    parts: dict[str, Callable[[], Any]] = {
        "fru": lambda: {name: fields for name, fields in command.get_inventory() if fields},
        "firmware": lambda: {name: fields for name, fields in command.get_firmware() if fields},
        "sensors": lambda: sorted({str(one["name"]) for one in command.get_sensor_descriptions()}),
    }
    answer: dict[str, Any] = {"missing": {}}
    for part, ask in parts.items():
        try:
            answer[part] = ask()
        except IpmiException as error:  # many BMCs lack one of them
            answer["missing"][part] = str(error)
    return answer


def main() -> int:
    """The answer on the real stdout, what pyghmi prints on stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer: dict[str, Any] = inventory(json.load(sys.stdin))
    except Exception as error:
        code = getattr(error, "ipmicode", None)
        answer = {
            "error": f"{type(error).__name__}: {error}",
            "refused": isinstance(error, PermissionError),
            "code": code,
        }
    json.dump(answer, answers, default=str)
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # pyghmi's threads do not end by themselves


if __name__ == "__main__":
    raise SystemExit(main())

"""Secrets by reference: read from files that only their owner can read, and never shown by accident.

A reference is `file:PATH` (relative to the folder of the file that holds the reference) or `credential:NAME` (a file in
systemd's `$CREDENTIALS_DIRECTORY`). The file is a YAML mapping. Its values come wrapped: `repr`, `str` and `format` give
`<secret>`, serialisers refuse them, and only `reveal(value)` or `Secrets.text(key)` says the value, at the one place
that puts it on the wire. What is no secret (`PLAIN_KEYS`) stays plain; `ca` becomes an absolute path, since it is
written relative to the file that names it.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from yaml import YAMLError

from fleet.errors import SecretError
from fleet.nodes import Mapping as MappingNode
from fleet.nodes import Node, Scalar, Unreadable, compose

SHOWN = "<secret>"
PLAIN_KEYS = frozenset({"version", "auth", "priv", "suite", "ca"})
"""Keys whose values choose an algorithm or name a public file."""
NUMBER_KEYS = frozenset({"suite"})
"""Keys whose values are numbers; everything else is text, however it looks."""
MAX_DEPTH = 4
"""A secret is flat, or nearly so; aliases cannot make it grow."""
OPEN_BITS = stat.S_IRWXG | stat.S_IRWXO | stat.S_IXUSR
"""Mode bits that a file of secrets must not have: 0600 is right, 0400 is stricter."""
MAX_BYTES = 1 << 20
"""A file of secrets is small; anything beyond is a mistake."""
MIN_REDACTED = 4
"""Shorter values would blank out half of an ordinary text."""


class SecretText:
    """One secret value: shows as `<secret>` however it is printed; `reveal()` gives the text."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself; only where it goes onto the wire."""
        return self._value

    def __repr__(self) -> str:
        return SHOWN

    def __str__(self) -> str:
        return SHOWN

    def __format__(self, format_spec: str) -> str:
        return SHOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other._value == self._value

    def __hash__(self) -> int:
        return hash((SecretText, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class Secrets(Mapping[str, object]):
    """A mapping of secret values that does not show them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = {key: _wrapped(key, value) for key, value in values.items()}

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))}: {SHOWN})"

    def text(self, key: str) -> str:
        """The revealed text under a key. Raises `SecretError` where there is none."""
        if key not in self._values:
            raise SecretError(f"the secret has no {key!r}, try adding it to its file (it holds: {', '.join(self)})")
        return reveal(self._values[key])


def reveal(value: object) -> str:
    """The text of a secret value, wrapped or plain."""
    return value.reveal() if isinstance(value, SecretText) else str(value)


def read_secret(ref: str, *, base: Path, environ: Mapping[str, str] = os.environ) -> Secrets:
    """The secret behind a reference. Raises `SecretError`: absent, open to others, or not a YAML mapping."""
    path = secret_path(ref, base=base, environ=environ)
    trouble = secret_trouble(path)
    if trouble is not None:
        raise SecretError(f"{ref}: {trouble[0]}, try {trouble[1]}")
    return Secrets(_mapping_in(path, ref))


def secret_path(ref: str, *, base: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that a reference names. Raises `SecretError` for anything that is not a reference; never repeats it."""
    scheme, _, rest = ref.partition(":")
    if scheme == "file" and rest:
        return base / rest
    if scheme == "credential" and rest and "/" not in rest and rest not in {".", ".."}:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise SecretError(
                f"credential:{rest}: $CREDENTIALS_DIRECTORY is not set, try LoadCredential={rest}:/path in the unit"
            )
        return Path(folder) / rest
    raise SecretError("not a reference to a secret, try file:PATH or credential:NAME")


def secret_trouble(path: Path) -> tuple[str, str] | None:
    """What keeps a file of secrets from being used and what to try, or None."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"{path} is absent", "creating it with mode 0600"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})", "giving its folder to the user that runs Hallkeeper"
    if not stat.S_ISREG(mode):
        return f"{path} is not a file", "naming a file"
    if mode & OPEN_BITS:
        return f"{path} has mode {stat.S_IMODE(mode):04o}, others can read it", f"chmod 0600 {path}"
    return None


def redact(text: str, secrets: Iterable[Mapping[str, object]]) -> str:
    """The text with every secret value of these mappings replaced by `<secret>`, longest first."""
    values = {value.reveal() for secret in secrets for value in _flat(secret) if isinstance(value, SecretText)}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= MIN_REDACTED:
            text = text.replace(value, SHOWN)
    return text


def _flat(secret: Mapping[str, object]) -> Iterator[object]:
    for value in secret.values():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield value


def _wrapped(key: str, value: object) -> object:
    if isinstance(value, Mapping):
        return Secrets({str(name): inner for name, inner in value.items()})
    return SecretText(value) if isinstance(value, str) and key not in PLAIN_KEYS else value


def _mapping_in(path: Path, ref: str) -> Mapping[str, object]:
    """The YAML mapping in a file; its errors never quote the text."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SecretError(f"{ref}: {path} cannot be read ({error.strerror}), try giving it to this user") from None
    if len(content) > MAX_BYTES:
        raise SecretError(f"{ref}: {path} is larger than {MAX_BYTES} bytes, try naming the right file")
    try:
        root = compose(content.decode("utf-8-sig"))
        values = {} if root is None else _plain(root, "", depth=0)
    except (YAMLError, UnicodeDecodeError):
        raise SecretError(f"{ref}: {path} is not valid YAML, try `key: value` lines") from None
    except Unreadable:
        raise SecretError(f"{ref}: {path} holds more than texts under keys, try `key: value` lines") from None
    if not isinstance(values, dict) or not values:
        raise SecretError(f"{ref}: {path} does not hold a mapping, try `key: value` lines")
    if "ca" in values:
        values["ca"] = str(path.parent / str(values["ca"]))
    return values


def _plain(node: Node, key: str, *, depth: int) -> object:
    """Mappings as they are, everything else as the text that it is written as: `0123` is a password, not a number."""
    if isinstance(node, Scalar):
        return int(node.text) if key in NUMBER_KEYS and node.text.isascii() and node.text.isdigit() else node.text
    if isinstance(node, MappingNode) and depth < MAX_DEPTH:
        named = ((name.text, inner) for name, inner in node.items if isinstance(name, Scalar))
        return {name: _plain(inner, name, depth=depth + 1) for name, inner in named}
    raise Unreadable(node.mark, "neither text nor a flat mapping", "`key: value` lines")

"""The site's secrets: drawn anew at every start, written to files that only their owner can read."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


def _word() -> str:
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class Login:
    """A name and what proves it."""

    name: str
    word: str = field(default_factory=_word, repr=False)
    second_word: str = field(default_factory=_word, repr=False)
    """The privacy password of SNMPv3."""


@dataclass(frozen=True, slots=True)
class SiteSecrets:
    """Everything that the servers accept."""

    snmp_read: Login = field(default_factory=lambda: Login("hk-read"))
    snmp_write: Login = field(default_factory=lambda: Login("hk-write"))
    bmc_read: Login = field(default_factory=lambda: Login("hk-read"))
    bmc_write: Login = field(default_factory=lambda: Login("hk-write"))
    agent_read: Login = field(default_factory=lambda: Login("read"))
    agent_write: Login = field(default_factory=lambda: Login("write"))
    kubernetes_read: Login = field(default_factory=lambda: Login("read"))
    kubernetes_write: Login = field(default_factory=lambda: Login("write"))

    def _files(self, authority: Path) -> Mapping[str, Mapping[str, object]]:
        files: dict[str, Mapping[str, object]] = {}
        for mode, snmp in (("read", self.snmp_read), ("write", self.snmp_write)):
            files[f"pdu-{mode}"] = _snmp_3(snmp, "sha256")
            files[f"pdu-sha1-{mode}"] = _snmp_3(snmp, "sha1")
            files[f"pdu-v2c-{mode}"] = {"version": "2c", "community": snmp.word}
        for mode, bmc in (("read", self.bmc_read), ("write", self.bmc_write)):
            files[f"bmc-{mode}"] = {"user": bmc.name, "password": bmc.word[:20], "suite": 17}
        for group, mode, token in (
            ("agent", "read", self.agent_read), ("agent", "write", self.agent_write),
            ("kubernetes", "read", self.kubernetes_read), ("kubernetes", "write", self.kubernetes_write),
        ):  # fmt: skip
            files[f"{group}-{mode}"] = {"token": token.word, "ca": str(authority)}
        return files

    def write(self, directory: Path) -> None:
        """One file a secret, mode 0600, below `directory`/secrets. JSON, which is YAML too."""
        folder = directory / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, content in self._files(directory.resolve() / "ca.pem").items():
            path = folder / f"{name}.yaml"
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_text(json.dumps(content, indent=1) + "\n")


def _snmp_3(login: Login, algorithm: str) -> Mapping[str, object]:
    return {
        "version": "3",
        "user": login.name,
        "auth": algorithm,
        "auth_key": login.word,
        "priv": "aes128",
        "priv_key": login.second_word,
    }


CREDENTIAL_GROUPS = ("pdu", "pdu-sha1", "pdu-v2c", "bmc", "agent", "kubernetes")

"""The demo's own installation: keys, settings and policies in a folder that vanishes afterwards."""

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bus.signing import SigningKey
from fleet.clock import Clock

PLAYBOOKS = ("node-hung", "gpu-fell-off-bus", "phase-overload")
POLICY_SECONDS = 3600.0


def install(
    folder: Path,
    site_file: Path,
    *,
    bus: str,
    webhook: str,
    idle: tuple[str, ...],
    clock: Clock,
    status: Mapping[str, str] | None = None,
) -> Path:
    """Write `hallkeeper.yaml` and what it names; returns its path. The site is simulated, so its playbooks may act at once."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    trusted = {}
    for name in ("service", "operator"):
        key = SigningKey.generate()
        key.save(keys / f"{name}.yaml")
        public = key.trusted("service" if name == "service" else "operator", name)
        trusted[key.key_id] = {"public": public.public, "role": public.role, "name": name}
    secret = folder / "webhook.yaml"
    write(secret, {"secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()})
    policies = folder / "policies.yaml"
    write(policies, {"policies": [idle_outlets(idle, clock)] if idle else []})
    settings = folder / "hallkeeper.yaml"
    write(
        settings,
        {
            "site": str(site_file),
            "data": str(folder / "data"),
            "bus": bus,
            "listen": "127.0.0.1:0",
            "status": dict(status or {}),
            "oncall": {"webhooks": [{"url": webhook, "secret": f"file:{secret}", "allow_private": True}]},
            "remediation": {"modes": {name: {"default": "enforce"} for name in PLAYBOOKS}, "policies": str(policies)},
            "keys": {"sign": "file:keys/service.yaml", "operator": "file:keys/operator.yaml", "trusted": trusted},
            "intervals": {"outlet": 2.0, "agent": 2.0, "bmc": 5.0, "sel": 4.0, "scheduler": 2.0},
        },
    )
    return settings


def idle_outlets(idle: tuple[str, ...], clock: Clock) -> dict[str, object]:
    """A pre-armed, expiring policy: outlets of these idle hosts may be switched off when a phase is overloaded."""
    expires = datetime.fromtimestamp(clock.now_ms() / 1000 + POLICY_SECONDS, UTC).isoformat(timespec="seconds")
    return {"kind": "idle-outlets", "assets": list(idle), "expires_at": expires, "armed_by": "the demo"}


def write(path: Path, content: dict[str, object]) -> None:
    """A YAML file that only its owner reads."""
    path.touch(mode=0o600)
    with path.open("w") as out:
        yaml.safe_dump(content, out, sort_keys=False)

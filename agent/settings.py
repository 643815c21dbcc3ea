"""The agent's settings file, read strictly: every mistake at once, each with its line and what to try."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.power import Bounds
from agent.repairs import Allowed
from fleet.document import Document, read_document
from fleet.errors import ConfigurationError, Problem

Watts = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class AgentSettingsError(ConfigurationError):
    """The agent's settings are wrong; `.problems` lists every mistake."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Strict):
    """The certificate that the agent shows; its key must be 0600."""

    certificate: Path
    key: Path


class Tokens(_Strict):
    """References to the token files: `file:PATH`, a YAML mapping with `token`, 0600; the read token may only GET."""

    read: str
    write: str


class PowerBounds(_Strict):
    """Watts a GPU that the owner allows, within what the GPU itself allows."""

    low_watts: Watts = 1.0
    high_watts: Watts = 10_000.0


class CheckpointHook(_Strict):
    """The command that has a job write a checkpoint; it finds the job in HALLKEEPER_JOB_NAMESPACE and _NAME."""

    command: Annotated[list[str], Field(min_length=1)]


class RepairSettings(_Strict):
    """What the owner lets the agent do to the machine; nothing where left out."""

    gpu_reset: bool = False
    reboot: Annotated[list[str], Field(min_length=1)] | None = None


class AgentSettings(_Strict):
    """Everything that one node's agent is told."""

    node: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")] = "127.0.0.1:9443"
    """Loopback unless the owner opens it."""
    tls: Tls
    tokens: Tokens
    data: Path = Path("/var/lib/hallkeeper-agent")
    kernel_log: Literal["kmsg", "journal", "none"] = "kmsg"
    gpus: Literal["nvidia-smi", "none"] = "nvidia-smi"
    nvidia_smi: str = "nvidia-smi"
    gpu_seconds: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    power_limit: PowerBounds = PowerBounds()
    checkpoint: CheckpointHook | None = None
    repairs: RepairSettings = RepairSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings with the folder that their relative paths start from."""

    settings: AgentSettings
    base: Path

    @property
    def bounds(self) -> Bounds:
        limits = self.settings.power_limit
        return Bounds(low_watts=limits.low_watts, high_watts=limits.high_watts)

    @property
    def allowed(self) -> Allowed:
        repairs = self.settings.repairs
        return Allowed(gpu_reset=repairs.gpu_reset, reboot=tuple(repairs.reboot or ()))

    @property
    def certificate(self) -> Path:
        return self.base / self.settings.tls.certificate

    @property
    def key(self) -> Path:
        return self.base / self.settings.tls.key


def load_agent_settings(path: Path) -> Loaded:
    """The settings in a file. Raises `AgentSettingsError` with every mistake in it."""
    document = read_document(path, AgentSettingsError)
    problems = list(document.problems)
    try:
        settings = AgentSettings.model_validate(document.data)
    except ValidationError as error:
        problems += [_problem(document, dict(fault)) for fault in error.errors(include_url=False, include_input=False)]
        raise AgentSettingsError(problems) from None
    loaded = Loaded(settings=settings, base=path.resolve().parent)
    problems += _key_problems(document, loaded.key)
    if problems:
        raise AgentSettingsError(problems)
    return loaded


def _problem(document: Document, fault: dict[str, object]) -> Problem:
    place = fault["loc"]
    loc = tuple(part for part in place if isinstance(part, str | int)) if isinstance(place, tuple) else ()
    extra = fault["type"] == "extra_forbidden"
    advice = "removing it, or the spelling" if extra else "the example in docs/reference/agent.md"
    return document.problem(loc, str(fault["msg"]), advice, key=extra)


def _key_problems(document: Document, key: Path) -> list[Problem]:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        return [document.problem(("tls", "key"), f"{key}: {error.strerror}", "the path of the key's PEM file")]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return [document.problem(("tls", "key"), f"{key} can be read by others", f"chmod 0600 {key}")]
    return []

"""The settings of an installation, `hallkeeper.yaml`: where things lie, whom to tell, what may be done by itself.

A reload is `load_settings` again: it returns a new object or raises `SettingsError`, and the caller keeps the old one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PrivateAttr, ValidationError

from fleet.addresses import BusUrl, HttpUrl, ListenAddress
from fleet.document import read_document
from fleet.entry import Entry, FilePath, Several, text_check
from fleet.errors import SettingsError, in_order
from fleet.mistakes import problems_of
from fleet.references import SecretRef, secret_problems
from fleet.thresholds import THRESHOLDS
from fleet.thresholds.checks import threshold_problems

DAEMONS = ("collectors", "rules", "remediator", "protective", "oncall", "historian")
"""Services with an address of their own beside the console's, in the order of their default ports."""
Mode = Literal["observe", "approve", "enforce"]
Role = Literal["service", "operator", "admin"]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _share_trouble(text: str) -> str | None:
    number, _, engines = text.partition("/")
    return None if int(number) <= int(engines) else f"there is no share {text}|1/{engines} to {engines}/{engines}"


RulesShare = Annotated[str, Field(pattern=r"^[1-9][0-9]?/[1-9][0-9]?$"), text_check(_share_trouble)]
"""So many-th of so many engines."""


class Webhook(Entry):
    """An address that is told of every incident, in Alertmanager's webhook v4 form."""

    url: HttpUrl
    """Where to POST."""
    secret: SecretRef | None = None
    """Key of the Standard Webhooks signature: `file:PATH`, a YAML mapping with `secret`."""
    allow_private: bool = False
    """Allow addresses of private networks and this machine; otherwise refused, against forged requests."""


class AlertmanagerTarget(Entry):
    """An Alertmanager that is pushed to."""

    url: HttpUrl
    """Base address, without /api/v2."""


class Oncall(Entry):
    """Who is told."""

    webhooks: Several[Webhook] = ()
    """Webhooks that get each incident once per transition."""
    alertmanagers: Several[AlertmanagerTarget] = ()
    """Alertmanagers that get firing alerts renewed."""


class PlaybookMode(Entry):
    """How far a playbook may go, and where."""

    default: Mode = "observe"
    """Where no domain is named: observe (record only), approve (ask first), enforce (act)."""
    domains: dict[str, Mode] = Field(default_factory=dict)
    """By asset id of a domain, such as a canary row: `row-01: enforce`. The innermost one counts."""


class Remediation(Entry):
    """What Hallkeeper may do by itself."""

    modes: dict[str, PlaybookMode] = Field(default_factory=dict)
    """By playbook name; a playbook that is not named observes."""
    policies: FilePath | None = None
    """File of pre-armed, expiring policies."""


class Historian(Entry):
    """What is kept beyond the bus."""

    recordings: FilePath | None = None
    """Folder of a recording that is kept all the time, for replay and for SQL; none where left out."""
    keep_hours: Annotated[float, Field(gt=0, le=8784)] = 24.0
    """Hours of it that are kept; 640 nodes take about 0.6 GB an hour (a default to tune)."""


class TrustedKey(Entry):
    """A public key whose signatures count."""

    public: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    """Ed25519 public key, 32 bytes in base64."""
    role: Role
    """service signs what Hallkeeper records, operator decides, admin decides more."""
    name: str = ""
    """Who holds it, for people."""


class Keys(Entry):
    """Keys that sign and keys that are believed."""

    sign: SecretRef | None = None
    """Private key of the services."""
    operator: SecretRef | None = None
    """Private key of the operator at this machine's command line."""
    trusted: dict[str, TrustedKey] = Field(default_factory=dict)
    """Public keys by key id."""


class Intervals(Entry):
    """Seconds between two reads, by signal; defaults to tune."""

    inlet: Seconds = 1.0
    """Inlet and phase currents, voltages and power of PDUs."""
    outlet: Seconds = 10.0
    """Outlet currents, power and states of PDUs."""
    energy: Seconds = 60.0
    """Energy counters."""
    bmc: Seconds = 10.0
    """Power state, watts and sensors of BMCs."""
    sel: Seconds = 30.0
    """New records of BMC event logs."""
    gpu: Seconds = 1.0
    """Pages of GPU exporters."""
    node: Seconds = 10.0
    """Pages of node exporters."""
    agent: Seconds = 2.0
    """Heartbeat and readings of node agents."""
    bess: Seconds = 1.0
    """Battery storage."""
    cooling: Seconds = 1.0
    """Pumps, flow, pressures, temperatures and leaks of CDUs and loops."""
    fabric: Seconds = 2.0
    """Ports of fabric switches."""
    scheduler: Seconds = 5.0
    """Full re-read of the cluster beside its watch."""
    incident: Seconds = 2.0
    """Assets of open incidents, whatever their signal."""
    inventory: Seconds = 30.0
    """Publication of what the site file says, as series."""


class Settings(Entry):
    """Everything that `hallkeeper.yaml` may say; all of it has a default."""

    site: FilePath = Path("site.yaml")
    """The site file."""
    data: FilePath = Path("data")
    """Folder of everything that Hallkeeper keeps: bus, ledger, locks, snapshots."""
    bus: BusUrl = "embedded"
    """`embedded` for one machine, or kafka://host:port[,host:port]."""
    zones: Several[Annotated[int, Field(ge=0, le=9999)]] | None = None
    """Zones polled by this process; all of them where left out."""
    rules: Several[FilePath] = ()
    """Folders of rule files; the shipped catalogue where left out."""
    rules_share: RulesShare = "1/1"
    """Which part of the rules this process's engine judges: `1/2` and `2/2` are the two halves of what one engine would."""
    playbooks: Several[FilePath] = ()
    """Folders of playbooks; the shipped ones where left out."""
    listen: ListenAddress = "127.0.0.1:8080"
    """Address of the console and its API; port 0 takes a free one."""
    status: dict[str, ListenAddress] = Field(default_factory=dict)
    """Where a daemon answers /metrics, /healthz and /readyz, by service; one that is not named takes a port behind `listen`."""
    oncall: Oncall = Oncall()
    """Who is told."""
    remediation: Remediation = Remediation()
    """What may be done by itself."""
    keys: Keys = Keys()
    """Keys that sign and keys that are believed."""
    historian: Historian = Historian()
    """What is kept beyond the bus."""
    intervals: Intervals = Intervals()
    """Seconds between two reads, by signal."""
    thresholds: Annotated[
        dict[str, float], Field(json_schema_extra={"propertyNames": {"enum": sorted(THRESHOLDS)}})
    ] = Field(default_factory=dict)
    """Numbers that rules compare with, by name (see thresholds.md); what is not named keeps its default."""
    external_labels: dict[str, str] = Field(default_factory=dict)
    """What this installation is called elsewhere: templates of rules see it as `$externalLabels`, as Prometheus's do."""
    model_config = ConfigDict(validate_default=True)

    _base: Path = PrivateAttr(default=Path())

    def status_address(self, service: str) -> str:
        """Where that service's daemon answers for itself: as named, else the console's host and the next ports in order."""
        if service in self.status:
            return self.status[service]
        host, _, port = self.listen.rpartition(":")
        return f"{host}:{int(port) + 1 + DAEMONS.index(service) if int(port) and service in DAEMONS else 0}"

    @property
    def base(self) -> Path:
        """The folder of the file, where relative references to secrets start; the working folder without a file."""
        return self._base


def load_settings(path: Path | str, *, check_secrets: bool = True, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in a file. Raises `SettingsError` with every mistake at once; nothing is half loaded."""
    path = Path(path)
    document = read_document(path, SettingsError)
    problems = list(document.problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document.data, context={"base": path.parent})
    except ValidationError as error:
        problems += problems_of(error, document, Settings)
    problems += threshold_problems(document)
    if check_secrets:
        problems += secret_problems(document, (), path.parent, environ)[0]
    if problems or settings is None:
        raise SettingsError(in_order(problems))
    settings._base = path.parent  # noqa: SLF001 - made here, not yet shared
    return settings

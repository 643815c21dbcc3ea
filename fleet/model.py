"""The site: every asset by its id, the plant graph over them, and where its credentials lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet.assets import Asset, AssetId, CredentialRefs, Domain, Endpoint, Kind, Limit, Wire
from fleet.errors import Problem
from fleet.graph import PlantGraph, unknown_asset

__all__ = [
    "Asset",
    "AssetId",
    "CredentialRefs",
    "Domain",
    "Endpoint",
    "Kind",
    "Limit",
    "PlantGraph",
    "Problem",
    "Site",
    "Wire",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site as its file says it is; made by `fleet.loader.load_site`, never changed."""

    name: str
    simulated: bool
    assets: Mapping[AssetId, Asset]
    graph: PlantGraph
    credentials: Mapping[str, CredentialRefs] = field(default_factory=dict)
    path: Path
    """The file that it came from; references to secrets are relative to its folder (`base`)."""
    warnings: tuple[Problem, ...] = ()
    """What the loader found odd but usable."""

    @property
    def base(self) -> Path:
        """The folder that relative `file:` references start from."""
        return self.path.parent

    def asset(self, asset: str) -> Asset:
        """The asset of that id. Raises `UnknownAsset`."""
        found = self.assets.get(AssetId(asset))
        if found is None:
            raise unknown_asset(asset, self.assets)
        return found

    def endpoints(self, wire: Wire | None = None) -> tuple[Endpoint, ...]:
        """Every endpoint, or those of one wire, in the order of the file."""
        every = (endpoint for asset in self.assets.values() for endpoint in asset.endpoints)
        return tuple(endpoint for endpoint in every if wire is None or endpoint.wire is wire)

    def of_kind(self, kind: Kind) -> tuple[Asset, ...]:
        """Every asset of a kind, in the order of the file."""
        return tuple(asset for asset in self.assets.values() if asset.kind is kind)

    def zones(self) -> tuple[int, ...]:
        """Every zone number, ascending."""
        return tuple(sorted({asset.zone for asset in self.assets.values() if asset.kind is Kind.ROW}))

    def credentials_for(self, endpoint: Endpoint, write: bool = False) -> str | None:
        """The reference to an endpoint's secret, for `fleet.secrets.read_secret`; None where there is none."""
        if endpoint.credentials is None:
            return None
        refs = self.credentials.get(endpoint.credentials, CredentialRefs())
        return refs.write if write else refs.read

"""Writes every dashboard's JSON; `python -m dashboards.generate` (a development dependency, Grafana's SDK, is needed)."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.site_overview import site_overview

FOLDER = Path(__file__).parent / "generated"
DASHBOARDS = {"site-overview.json": site_overview}


def rendered() -> dict[str, str]:
    """File name → JSON text, stable from run to run."""
    return {
        name: json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(make().build())), indent=2, sort_keys=True)
        + "\n"
        for name, make in DASHBOARDS.items()
    }


def main() -> None:
    """Write the files."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()

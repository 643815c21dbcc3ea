"""The table of thresholds as a page of documentation."""

from collections.abc import Iterator, Mapping

from fleet.thresholds import AREAS, Threshold

_HEAD = """\
# Thresholds

Made from the table in `fleet/thresholds/`; write it anew with `make docs`.

Numbers that rules compare with and that a site may set, in `hallkeeper.yaml`:

```yaml
thresholds:
  coolant_supply_hot_celsius: 46
```

Collectors publish each as `fleet_threshold{name="…"}`, every 30 s and after every reload, so a rule reads
`x > on () group_left () fleet_threshold{name="coolant_supply_hot_celsius"}`. A name that is not here, or a number outside
the bounds, is a mistake, and the old settings stay.
"""


def thresholds_page() -> str:
    """The page `docs/reference/thresholds.md`."""
    lines = [_HEAD]
    for area, thresholds in AREAS.items():
        lines += [
            f"## {area}",
            "",
            "| name | default | unit | bounds | what is told | source |",
            "|---|---|---|---|---|---|",
        ]
        lines += [*_rows(thresholds), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _rows(thresholds: Mapping[str, Threshold]) -> Iterator[str]:
    for name, one in thresholds.items():
        bounds = f"{one.low:g} to {one.high:g}"
        yield f"| `{name}` | {one.default:g} | {one.unit} | {bounds} | {one.meaning} | {one.source} |"

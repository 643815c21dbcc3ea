"""Whatever stands in a site file or a settings file: a site or an error with places, never anything else."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.errors import ConfigurationError, Problem, SettingsError, SiteError
from fleet.loader import load_site
from fleet.settings import load_settings

MINI = (Path(__file__).parents[2] / "unit" / "fleet" / "mini.yaml").read_text()
SETTINGS = """\
site: site.yaml
data: ./data
bus: kafka://127.0.0.1:9092
zones: [1, 2]
rules: [rules/catalogue]
listen: 127.0.0.1:8080
oncall: {webhooks: [{url: "https://hook.example/a", secret: "file:hook.yaml"}], alertmanagers: [{url: "http://am:9093"}]}
remediation: {modes: {power-cycle: {default: observe, domains: {row-01: enforce}}}, policies: policies.yaml}
keys: {sign: "file:keys/service.yaml", trusted: {k1: {public: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", role: admin}}}
intervals: {outlet: 2}
"""
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FAST_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
LESS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def check(folder: Path, content: bytes, *, site: bool) -> None:
    path = folder / "file.yaml"
    path.write_bytes(content)
    lines = content.count(b"\n") + content.count(b"\r") + 2
    problems = problems_in(path, site=site)
    for problem in problems:
        assert problem.message
        assert "\n" not in str(problem)
        assert 0 <= problem.line <= lines * 4, "Unicode knows more line ends than YAML's text has newlines"


def problems_in(path: Path, *, site: bool) -> tuple[Problem, ...]:
    """What the loader says against a file; any error but its own comes through."""
    try:
        if site:
            assert load_site(path, check_secrets=False).assets
        else:
            load_settings(path, check_secrets=False)
    except ConfigurationError as error:
        if not error.problems or not isinstance(error, SiteError if site else SettingsError):
            pytest.fail(f"{type(error).__name__} with {len(error.problems)} problems")
        return error.problems
    return ()


@st.composite
def scribbled(draw: st.DrawFn, text: str) -> str:
    """A text with some of its lines or characters lost, doubled, moved or replaced."""
    lines = text.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["lose", "double", "swap", "insert", "indent", "cut"])):
            case "lose" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "insert":
                column = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:column] + draw(st.text(max_size=3)) + lines[at][column:]
            case "indent":
                lines[at] = " " + lines[at]
            case _:
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return "".join(lines)


@st.composite
def rearranged(draw: st.DrawFn, text: str) -> str:
    """The document with some of its values replaced by anything at all."""
    document = yaml.load(text, Loader=FAST_LOADER)
    for _ in range(draw(st.integers(1, 3))):
        around = document
        while True:
            keys = list(around) if isinstance(around, dict) else list(range(len(around)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(around[key], dict | list) and draw(st.integers(0, 3)):
                around = around[key]
                continue
            around[key] = draw(ANYTHING)
            break
    return yaml.dump(document, Dumper=FAST_DUMPER, allow_unicode=True)


@given(text=scribbled(MINI))
@LESS
def test_a_scribbled_site_loads_or_says_why_not(folder: Path, text: str) -> None:
    check(folder, text.encode("utf-8", "surrogatepass"), site=True)


@given(text=rearranged(MINI))
@LESS
def test_a_site_with_strange_values_loads_or_says_why_not(folder: Path, text: str) -> None:
    check(folder, text.encode("utf-8", "surrogatepass"), site=True)


@given(text=scribbled(SETTINGS) | rearranged(SETTINGS))
@LESS
def test_scribbled_settings_load_or_say_why_not(folder: Path, text: str) -> None:
    check(folder, text.encode("utf-8", "surrogatepass"), site=False)


@given(content=st.binary(max_size=200))
@LESS
def test_any_bytes_load_or_say_why_not(folder: Path, content: bytes) -> None:
    check(folder, content, site=True)


def test_what_is_scribbled_upon_is_right(folder: Path) -> None:
    check(folder, MINI.encode(), site=True)
    (folder / "right.yaml").write_text(SETTINGS)
    load_settings(folder / "right.yaml", check_secrets=False)

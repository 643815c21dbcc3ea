"""Every example of docs/reference/rules-tools.md does what the page says."""

import asyncio
import contextlib
import io
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallkeeper.cli import main
from tests.contract.prometheus_api.pair import ODD_MS, STEP_MS, STEPS, console, dataset

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "rules-tools.md").read_text()
FILES = re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [
    (line[2:], output)
    for block in BLOCKS
    for line, output in re.findall(r"^(\$ .*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]
ADDRESS = "http://127.0.0.1:8080"
TIME = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z")


@contextlib.contextmanager
def captured(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard output and error together, as a terminal shows them."""
    shown = io.StringIO()
    monkeypatch.setattr(sys, "argv", argv)
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), contextlib.suppress(SystemExit):
        yield shown


def test_the_page_has_examples_of_every_command() -> None:
    commands = {tuple(line.split()[1:3]) if line.split()[1] == "rules" else (line.split()[1],) for line, _ in EXAMPLES}
    assert commands == {("rules", "check"), ("rules", "test"), ("rules", "explain"), ("query",)}


@pytest.mark.parametrize(("line", "output"), EXAMPLES, ids=[line for line, _ in EXAMPLES])
async def test_an_example_prints_what_the_page_shows(
    line: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        if ADDRESS in line:
            start = int(time.time()) - STEPS * STEP_MS // 1000
            address, _ = await stack.enter_async_context(console(tmp_path, dataset(start * 1000 + ODD_MS)))
            line = line.replace(ADDRESS, address)
        with captured(shlex.split(line), monkeypatch) as shown:
            await asyncio.to_thread(main)
    assert TIME.sub("TIME", shown.getvalue().rstrip()) == TIME.sub("TIME", output.rstrip())

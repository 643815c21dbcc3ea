"""The command line has every verb that it lists, alone and in the help."""

import pytest
from typer.testing import CliRunner

from hallkeeper.cli import VERBS, build


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_be_typed(verb: str) -> None:
    result = CliRunner().invoke(build(verb), [verb, "--help"])
    assert result.exit_code == 0, result.output
    assert verb in result.output


def test_the_help_lists_every_verb() -> None:
    listed = {
        line.split()[0] for line in CliRunner().invoke(build(None), ["--help"]).output.splitlines() if line.strip()
    }
    assert set(VERBS) <= listed

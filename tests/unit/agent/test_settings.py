"""The agent's settings: strict, every mistake at once with its line, nothing half used."""

import ssl
from pathlib import Path

import pytest
import structlog

from agent.__main__ import main
from agent.daemon import read_tokens
from agent.settings import AgentSettings, AgentSettingsError, load_agent_settings
from agent.store import Unusable
from fleet.errors import SecretError
from tests.contract.agent.certificates import Authority
from tests.contract.agent.nodes import settings_file


@pytest.fixture(autouse=True)
def own_log():
    """The command line sets up structlog for its process; the next test has its own."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def test_a_right_file_loads_with_paths_beside_it(tmp_path: Path, authority: Authority) -> None:
    loaded = load_agent_settings(settings_file(tmp_path, authority))
    assert loaded.settings.node == "dgx-001"
    assert loaded.settings.listen.startswith("127.0.0.1")
    assert loaded.base == tmp_path.resolve()


def test_the_example_of_the_documentation_loads(tmp_path: Path, authority: Authority) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "agent.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    for path in authority.server():
        path.rename(tmp_path / path.name)
    (tmp_path / "agent.yaml").write_text(example)
    loaded = load_agent_settings(tmp_path / "agent.yaml")
    assert loaded.settings.checkpoint is not None
    assert set(AgentSettings.model_fields) == loaded.settings.model_fields_set


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path, authority: Authority) -> None:
    path = settings_file(tmp_path, authority, node="no good", gpu_seconds=0, colour="red", kernel_log="dmesg")
    with pytest.raises(AgentSettingsError) as caught:
        load_agent_settings(path)
    places = {problem.path: problem for problem in caught.value.problems}
    assert set(places) == {"node", "gpu_seconds", "colour", "kernel_log"}
    lines = path.read_text().splitlines()
    for name, problem in places.items():
        assert lines[problem.line - 1].startswith(name)
        assert problem.suggestion


@pytest.mark.parametrize("listen", ["9443", "127.0.0.1", "127.0.0.1:port", "[::1]:1:2", "a b:1"])
def test_an_address_that_is_none_is_a_mistake(tmp_path: Path, authority: Authority, listen: str) -> None:
    with pytest.raises(AgentSettingsError, match="listen"):
        load_agent_settings(settings_file(tmp_path, authority, listen=listen))


def test_a_key_that_others_can_read_is_a_mistake(tmp_path: Path, authority: Authority) -> None:
    path = settings_file(tmp_path, authority)
    (authority.folder / "node.key").chmod(0o644)
    with pytest.raises(AgentSettingsError, match="chmod 0600"):
        load_agent_settings(path)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path, authority: Authority) -> None:
    path = settings_file(tmp_path, authority)
    (tmp_path / "read.yaml").chmod(0o640)
    with pytest.raises(SecretError, match="0640"):
        read_tokens(load_agent_settings(path))


@pytest.mark.parametrize("token", ["w" * 32, "short"])
def test_equal_or_short_tokens_are_refused(tmp_path: Path, authority: Authority, token: str) -> None:
    path = settings_file(tmp_path, authority)
    (tmp_path / "read.yaml").write_text(f"token: {token}\n")
    with pytest.raises(Unusable, match="openssl rand"):
        read_tokens(load_agent_settings(path))


def test_the_command_line_ends_with_2_and_one_line_a_mistake(tmp_path: Path, authority: Authority, capsys) -> None:
    path = settings_file(tmp_path, authority, node="no good", colour="red")
    assert main(["--config", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(line.startswith(f"{path}:") for line in said)


def test_a_broken_certificate_is_told_not_thrown(tmp_path: Path, authority: Authority, capsys) -> None:
    path = settings_file(tmp_path, authority)
    (authority.folder / "node.pem").write_text("no certificate")
    assert main(["--config", str(path)]) == 2
    assert "try a PEM certificate" in capsys.readouterr().err


def test_the_certificate_of_a_test_site_is_one_that_openssl_accepts(authority: Authority) -> None:
    certificate, key = authority.server()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)

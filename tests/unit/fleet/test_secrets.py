"""Secrets by reference, never shown."""

import json
import pickle
from pathlib import Path

import msgspec
import pytest

from fleet.errors import SecretError
from fleet.secrets import SHOWN, Secrets, SecretText, read_secret, redact, reveal


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


SNMP = 'version: "3"\nuser: poller\nauth: sha256\nauth_key: hunter2hunter2\npriv: aes128\npriv_key: hunter3hunter3\n'


def test_a_secret_is_read_and_revealed_on_purpose_alone(tmp_path: Path) -> None:
    write(tmp_path / "pdu.yaml", SNMP)
    secret = read_secret("file:pdu.yaml", base=tmp_path)
    assert set(secret) == {"version", "user", "auth", "auth_key", "priv", "priv_key"}
    assert secret.text("auth_key") == "hunter2hunter2"
    assert reveal(secret["priv_key"]) == "hunter3hunter3"
    assert reveal("plain") == "plain"
    assert (secret["version"], secret["auth"], secret["priv"]) == ("3", "sha256", "aes128")


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>40}".format, lambda s: f"{s}"])
def test_no_way_of_printing_shows_a_value(show, tmp_path: Path) -> None:
    write(tmp_path / "pdu.yaml", SNMP + "more: {token: hunter4hunter4}\n")
    secret = read_secret("file:pdu.yaml", base=tmp_path)
    for shown in (show(secret), show(secret["auth_key"]), show(dict(secret)), show([secret["more"]])):
        assert "hunter" not in shown
        assert SHOWN in shown


def test_a_format_with_a_width_shows_nothing_either() -> None:
    assert f"{SecretText('hunter2'):>40}" == SHOWN


def test_serialisers_refuse_a_secret() -> None:
    for dump in (json.dumps, msgspec.json.encode, msgspec.msgpack.encode, pickle.dumps):
        with pytest.raises(TypeError):
            dump({"token": SecretText("hunter2")})


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert SecretText("a") == SecretText("a")
    assert SecretText("a") != SecretText("b")
    assert SecretText("a") != "a"
    assert len({SecretText("a"), SecretText("a")}) == 1


def test_numbers_and_nested_mappings_keep_their_form() -> None:
    secret = Secrets({"suite": 17, "outer": {"token": "hunter2"}})
    assert secret["suite"] == 17
    assert reveal(secret["outer"]["token"]) == "hunter2"
    assert len(secret) == 2


def test_text_that_is_not_there_says_what_is() -> None:
    with pytest.raises(SecretError, match=r"no 'password'.*holds: user"):
        Secrets({"user": "a"}).text("password")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o700, 0o666])
def test_a_file_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", "user: a\n", mode)
    with pytest.raises(SecretError, match=f"has mode {mode:04o}.*chmod 0600 {path}"):
        read_secret("file:s.yaml", base=tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_for_its_owner_alone_is_read(mode: int, tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", "user: a\n", mode)
    assert read_secret("file:s.yaml", base=tmp_path).text("user") == "a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("password: [hunter2", "is not valid YAML"),
        ("hunter2", "does not hold a mapping"),
        ("- hunter2", "holds more than texts"),
        ("", "does not hold a mapping"),
        ("password: [hunter2]", "holds more than texts"),
        ("a: {b: {c: {d: {e: hunter2}}}}", "holds more than texts"),
        ("a: *hunter2", "holds more than texts"),
        ("x" * (1 << 20) + "hunter2", "is larger than"),
    ],
)
def test_what_is_no_mapping_is_refused_without_being_quoted(text: str, said: str, tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", text)
    with pytest.raises(SecretError, match=said) as caught:
        read_secret("file:s.yaml", base=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_looks_like_a_number_is_a_password_all_the_same(tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", "password: 0123\ncommunity: no\nsuite: 17\nversion: 3\nuser: 0x1f\n")
    secret = read_secret("file:s.yaml", base=tmp_path)
    assert (secret.text("password"), secret.text("community"), secret.text("user")) == ("0123", "no", "0x1f")
    assert (secret["suite"], secret["version"]) == (17, "3")
    assert repr(secret["password"]) == SHOWN


def test_json_is_yaml_too(tmp_path: Path) -> None:
    write(tmp_path / "s.yaml", '{"user": "a", "password": "b\\u00e9c"}')
    assert read_secret("file:s.yaml", base=tmp_path).text("password") == "béc"


def test_an_authority_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    write(tmp_path / "secrets" / "agent.yaml", "token: abc\nca: ../ca.pem\n")
    secret = read_secret("file:secrets/agent.yaml", base=tmp_path)
    assert Path(str(secret["ca"])).resolve() == tmp_path / "ca.pem"
    write(tmp_path / "secrets" / "other.yaml", "token: abc\nca: /etc/ca.pem\n")
    assert read_secret("file:secrets/other.yaml", base=tmp_path)["ca"] == "/etc/ca.pem"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", "")
    path.write_bytes(b"user: \xff\n")
    with pytest.raises(SecretError, match="not valid YAML"):
        read_secret("file:s.yaml", base=tmp_path)


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="is absent, try creating it with mode 0600"):
        read_secret("file:none.yaml", base=tmp_path)
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(SecretError, match="is not a file"):
        read_secret("file:folder", base=tmp_path)


def test_an_absolute_path_stands_for_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", "user: a\n")
    assert read_secret(f"file:{path}", base=Path("/nowhere")).text("user") == "a"


def test_a_systemd_credential_lies_in_the_units_folder(tmp_path: Path) -> None:
    write(tmp_path / "bmc", "user: a\n", 0o400)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret("credential:bmc", base=Path("/nowhere"), environ=environ).text("user") == "a"
    with pytest.raises(SecretError, match="LoadCredential=bmc:/path in the unit"):
        read_secret("credential:bmc", base=tmp_path, environ={})


@pytest.mark.parametrize(
    "ref", ["hunter2", "file:", "credential:", "credential:../x", "credential:..", "env:hunter2", ""]
)
def test_anything_else_is_no_reference_and_is_not_repeated(ref: str, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="not a reference") as caught:
        read_secret(ref, base=tmp_path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "hunter2" not in str(caught.value)


def test_redaction_takes_every_value_out_of_a_text() -> None:
    secrets = [
        Secrets({"password": "hunter2", "user": "admin", "suite": 17}),
        Secrets({"in": {"token": "hunter2-long"}}),
    ]
    text = "login admin with hunter2-long failed, then hunter2; suite 17"
    assert redact(text, secrets) == f"login {SHOWN} with {SHOWN} failed, then {SHOWN}; suite 17"
    assert redact("nothing here", secrets) == "nothing here"
    assert redact("a b c", [Secrets({"x": "a"})]) == "a b c", "too short to be looked for"


def test_a_plain_mapping_is_redacted_too() -> None:
    assert redact("token hunter2", [{"token": SecretText("hunter2")}]) == f"token {SHOWN}"

"""`hallkeeper site check` and `hallkeeper site schema`."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from hallkeeper.commands.site import app

MINI = (Path(__file__).parent / "mini.yaml").read_text()
RUN = CliRunner()


def write(folder: Path, text: str) -> str:
    path = folder / "site.yaml"
    path.write_text(text)
    return str(path)


def test_a_right_file_exits_0_and_says_what_is_in_it(folder: Path) -> None:
    result = RUN.invoke(app, ["check", write(folder, MINI)])
    assert result.exit_code == 0
    assert "site mini can be used, 0 warning(s)" in result.stdout
    assert "node 4" in result.stdout
    assert result.stderr == ""


def test_errors_come_on_stderr_and_exit_1(folder: Path) -> None:
    path = write(folder, MINI.replace("zone: 1", "zone: x").replace("feed: b", "feed: c"))
    result = RUN.invoke(app, ["check", path])
    assert result.exit_code == 1
    assert f"error: {path}:13:15: halls[0].rows[0].zone: must be a whole number" in result.stderr
    assert "2 error(s), 0 warning(s); nothing is loaded" in result.stderr
    assert result.stdout == ""


def test_warnings_come_on_stdout_and_exit_0(folder: Path) -> None:
    result = RUN.invoke(app, ["check", write(folder, MINI.replace("rated_amperes: 63", "rated_amperes: 48"))])
    assert result.exit_code == 0
    assert result.stdout.startswith("warning: ")
    assert result.stdout.count("warning: ") == 2


@pytest.mark.parametrize("broken", [False, True])
def test_json_is_one_object(broken: bool, folder: Path) -> None:
    path = write(folder, MINI.replace("zone: 1", "zone: x") if broken else MINI)
    result = RUN.invoke(app, ["check", "--json", path])
    report = json.loads(result.stdout)
    assert result.exit_code == int(broken)
    assert report["ok"] is not broken
    assert (report["file"], report["warnings"]) == (path, [])
    if broken:
        assert report["assets"] == {}
        assert {key: report["errors"][0][key] for key in ("line", "column", "path")} == {
            "line": 13, "column": 15, "path": "halls[0].rows[0].zone",
        }  # fmt: skip
        assert report["errors"][0]["try"]
    else:
        assert report["assets"]["outlet"] == 8


def test_secrets_may_be_left_out_of_the_check(tmp_path: Path) -> None:
    path = write(tmp_path, MINI)
    assert RUN.invoke(app, ["check", path]).exit_code == 1
    assert RUN.invoke(app, ["check", "--no-secrets", path]).exit_code == 0


def test_an_absent_file_is_an_error_not_a_trace(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["check", str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "is absent" in result.stderr


def test_the_schema_accepts_what_loads_and_refuses_what_does_not() -> None:
    result = RUN.invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    right = yaml.safe_load(MINI)
    assert list(validator.iter_errors(right)) == []
    wrong = yaml.safe_load(MINI.replace("power_limit_watts", "power_limt_watts").replace("feed: b", "feed: c"))
    assert len(list(validator.iter_errors(wrong))) == 2


def test_every_field_of_the_schema_is_explained() -> None:
    schema = json.loads(RUN.invoke(app, ["schema"]).stdout)
    entries = {"Site": schema, **schema["$defs"]}
    for name, entry in entries.items():
        assert entry["description"], name
        for field, what in entry["properties"].items():
            assert what.get("description") or "$ref" in what, f"{name}.{field}"

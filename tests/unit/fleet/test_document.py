"""YAML as plain data, with places."""

import pytest

from fleet.document import parse_document, path_text
from fleet.errors import SettingsError, SiteError


def data(text: str) -> object:
    return parse_document(text, "f.yaml", SiteError).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("+4", 4), ("0x1f", 31), ("0o17", 15), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
        ("-.inf", float("-inf")), ("true", True), ("False", False), ("null", None), ("~", None), ("''", ""), ("'12'", "12"),
        ('"true"', "true"), ("no", "no"), ("on", "on"), ("yes", "yes"), ("0123", 123), ("1_000", "1_000"), ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"), ("1.2.3.4", "1.2.3.4"), ("!!str 12", "12"), ("! 12", "12"), ("٣", "٣"), ("+", "+"),
        ("1" * 500, "1" * 500),
    ],
)  # fmt: skip
def test_scalars_are_resolved_by_yaml_1_2(text: str, value: object) -> None:
    assert data(f"key: {text}\n") == {"key": value}


def test_not_a_number_is_a_number() -> None:
    assert str(data("a: .nan")) == "{'a': nan}"


def test_merge_keys_give_what_the_mapping_itself_does_not_say() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nmerged: {<<: [*b, *o], x: 9}\n"
    assert data(text)["merged"] == {"x": 9, "y": 2, "z": 4}


def test_places_are_found_through_lists_mappings_aliases_and_merges() -> None:
    document = parse_document("a:\n  - b: 1\n    c: &c {d: 2}\ne: {<<: *c}\nf: *c\n", "f.yaml", SiteError)

    def at(*loc: str | int, key: bool = False) -> tuple[int, int]:
        problem = document.problem(loc, "", key=key)
        return problem.line, problem.column

    assert at("a", 0, "b") == (2, 8)
    assert at("a", 0, "b", key=True) == (2, 5)
    assert at("a", 0, "c", "d") == (3, 15)
    assert at("e", "d") == (3, 15)
    assert at("f", "d") == (3, 15)
    assert at("a", 7, "x") == (2, 3), "a place that is not there is the nearest one around it"
    assert at() == (1, 1)


def test_paths_read_as_people_write_them() -> None:
    assert path_text(("halls", 0, "rows", 1, "zone")) == "halls[0].rows[1].zone"
    assert path_text(()) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: a: the key 'a' is there twice, try keeping one of the two"),
        ("{[1]: 2}", "f.yaml:1:2: a key must be text, try a plain word"),
        ("a: !!python/object:os.system x", "f.yaml:1:4: a: the tag tag:yaml.org,2002:python/object:os.system means nothing here, try leaving it out"),
        ("a: !secret x", "f.yaml:1:4: a: the tag !secret means nothing here, try leaving it out"),
        ("<<: 3", "f.yaml:1:5: `<<` must name a mapping, try an alias of a mapping"),
        ("a: &a [*a]", "f.yaml:1:4: a[0]: is nested or repeated without end, try writing it out without aliases"),
    ],
)  # fmt: skip
def test_mistakes_of_yaml_do_not_stop_the_reading(text: str, said: str) -> None:
    document = parse_document(text, "f.yaml", SiteError)
    assert any(said.startswith(str(problem)) for problem in document.problems), [str(p) for p in document.problems]


def test_the_caller_names_the_error() -> None:
    with pytest.raises(SettingsError):
        parse_document("a: [", "hallkeeper.yaml", SettingsError)


def test_a_byte_order_mark_is_no_mistake(tmp_path) -> None:
    from fleet.document import read_document

    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(path, SiteError).data == {"a": 1}


def test_what_the_file_says_cannot_break_a_message_into_lines_or_colour_a_terminal() -> None:
    document = parse_document('"a\\nb\\e[31m": 1\n', "f.yaml", SiteError)
    assert str(document.problem(("a\nb\x1b[31m",), "x\ny")) == "f.yaml:1:15: a\\nb\\x1b[31m: x\\ny"
    assert len(document.problem(("k" * 10_000,), "m" * 10_000).message) == 501

"""Host ranges and templates."""

import pytest

from fleet.ranges import BadRange, expand, fill, fold, has_places


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dgx-001", ("dgx-001",)),
        ("dgx-[001-003]", ("dgx-001", "dgx-002", "dgx-003")),
        ("n[1-3,7]", ("n1", "n2", "n3", "n7")),
        ("n[9-11]", ("n9", "n10", "n11")),
        ("n[099-101]", ("n099", "n100", "n101")),
        ("r[1-2]-n[01-02]", ("r1-n01", "r1-n02", "r2-n01", "r2-n02")),
        ("a-[1-2],b-1", ("a-1", "a-2", "b-1")),
        ("[0-2]", ("0", "1", "2")),
    ],
)
def test_a_range_stands_for_its_names_in_order(text: str, names: tuple[str, ...]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a[",
        "a]",
        "a[]",
        "a[1-]",
        "a[x]",
        "a[3-1]",
        "a[01-100]",
        "a[1-010]",
        "a[1,1]",
        "a,a",
        "a[1-99999]",
        "a[1-999]b[1-999]",
        "a[[1-2]]",
        "a,",
        "a[١-٣]",
    ],
)
def test_what_is_no_range_says_what_is_wrong_and_what_to_try(text: str) -> None:
    with pytest.raises(BadRange) as caught:
        expand(text)
    assert caught.value.message
    assert caught.value.suggestion


def test_a_bound_holds_before_the_names_are_made() -> None:
    with pytest.raises(BadRange, match="more than 20000"):
        expand("a[1-999999999999]b[1-999999999999]")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["dgx-001", "dgx-002", "dgx-003", "dgx-007"], "dgx-[001-003,007]"),
        (["n1", "n2", "n10", "n9"], "n[1-2,9-10]"),
        (["n099", "n100"], "n[099-100]"),
        (["a", "b-1"], "a,b-1"),
        (["r1-n1", "r2-n1"], "r1-n1,r2-n1"),
        ([], ""),
    ],
)
def test_names_fold_into_the_shortest_text(names: list[str], text: str) -> None:
    assert fold(names) == text


def test_templates_know_the_name_the_position_and_the_number() -> None:
    assert fill("http://{name}.example:{index+9400}/", name="dgx-065", index=1) == "http://dgx-065.example:9401/"
    assert fill("10.0.0.{number}", name="dgx-065", index=1) == "10.0.0.65"
    assert fill("10.0.0.{number-64}", name="dgx-065-a", index=9) == "10.0.0.1"
    assert fill("plain", name="x", index=1) == "plain"
    assert has_places("{index}")
    assert not has_places("127.0.0.1:1")


@pytest.mark.parametrize("template", ["{", "}", "{}", "{host}", "{name+1}", "{index+}", "{number}"])
def test_braces_that_are_no_place_are_an_error(template: str) -> None:
    with pytest.raises(BadRange):
        fill(template, name="unnumbered", index=1)

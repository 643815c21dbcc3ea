"""Addresses in one form."""

import pytest

from fleet.addresses import BadAddress, host_port, http_url, is_host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1:161"), ("10.0.0.1:1161", "10.0.0.1:1161"), ("pdu-1.row.example", "pdu-1.row.example:161"),
        ("[fd00::1]", "[fd00::1]:161"), ("[fd00::1]:99", "[fd00::1]:99"), ("host:007", "host:7"), ("a_b", "a_b:161"),
    ],
)  # fmt: skip
def test_a_host_gets_its_port(text: str, address: str) -> None:
    assert host_port(text, 161) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":161",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "host:",
        "host:99999",
        "host:-1",
        "a b",
        "fd00::1",
        "[fd00::zz]",
        "[fd00::1",
        "[::1]x",
        "-a",
        "a" * 64,
        "host/x",
        "host:1:2",
        "ho\x00st",
        "хост",
    ],
)
def test_what_is_no_address_says_what_to_try(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        host_port(text, 161)
    assert caught.value.message
    assert caught.value.suggestion


def test_urls_pass_or_say_why_not() -> None:
    assert http_url("https://[fd00::1]:9400/metrics?a=b") == "https://[fd00::1]:9400/metrics?a=b"
    for bad in (
        "host:80",
        "http://",
        "http:///x",
        "ftp://host",
        "http://host:x",
        "http://[::1",
        "http://user@host",
        "http://a\tb",
    ):
        with pytest.raises(BadAddress):
            http_url(bad)
    with pytest.raises(BadAddress, match="not a URL of https"):
        http_url("http://host", ("https",))


def test_hosts() -> None:
    assert is_host("a.b-c.d.")
    assert not is_host("")
    assert not is_host("a..b")

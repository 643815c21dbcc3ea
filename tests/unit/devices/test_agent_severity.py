"""How grave an agent's event is follows the tables of faults."""

import pytest

from devices.profiles.agent import severity


@pytest.mark.parametrize(
    ("kind", "code", "grade"),
    [
        ("xid", "79", "critical"),
        ("xid", "74", "critical"),
        ("xid", "94", "warning"),
        ("xid", "31", "warning"),
        ("xid", "63", "info"),
        ("xid", "92", "info"),
        ("xid", "999", "warning"),
        ("sxid", "12028", "critical"),
        ("sxid", "12021", "info"),
        ("xid", "seventy-nine", "warning"),
        ("sxid", "", "warning"),
        ("boot", "79", "warning"),
    ],
)
def test_an_error_number_is_as_grave_as_its_table_says(kind: str, code: str, grade: str) -> None:
    assert severity(kind, code) == grade

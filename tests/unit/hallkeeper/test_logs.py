"""Logs never hold a secret."""

from hallkeeper.logs import Redactor


def test_secrets_are_taken_out_by_key_and_by_value():
    redactor = Redactor()
    redactor.learn(["hunter2-long", "abc"])
    event = redactor(
        None,
        "info",
        {
            "event": "login with hunter2-long failed",
            "password": "x",
            "Token": "y",
            "count": 3,
            "exception": "Traceback: hunter2-long",
        },
    )
    assert event == {
        "event": "login with <secret> failed",
        "password": "<secret>",
        "Token": "<secret>",
        "count": 3,
        "exception": "Traceback: <secret>",
    }


def test_short_values_do_not_blank_ordinary_words():
    redactor = Redactor()
    redactor.learn(["on"])
    assert redactor(None, "info", {"event": "power on"})["event"] == "power on"

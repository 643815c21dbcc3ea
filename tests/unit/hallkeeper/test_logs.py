"""Logs never hold a secret, and no trace of what is no fault."""

import logging

from hallkeeper.logs import Redactor, worth_telling


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


def complaint(message, error):
    return logging.LogRecord("asyncio", logging.ERROR, "loop.pyx", 1, message, (), (type(error), error, None))


def test_a_tls_handshake_that_was_given_up_leaves_no_trace_and_every_other_fault_does():
    closed = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    assert not worth_telling(complaint("Fatal error on SSL protocol\nprotocol: x", closed))
    assert worth_telling(complaint("Fatal error on SSL protocol\nprotocol: x", RuntimeError("out of memory")))
    assert worth_telling(complaint("Fatal error on transport", closed))
    assert worth_telling(logging.LogRecord("asyncio", logging.ERROR, "loop.pyx", 1, "no exception", (), None))

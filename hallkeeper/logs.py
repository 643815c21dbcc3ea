"""Logs: JSON lines for machines, a readable form on a terminal; secrets never pass."""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

SECRET_KEYS = frozenset({"password", "token", "community", "auth_key", "priv_key", "secret", "authorization", "kg"})
"""Field names whose value is never written, whatever it is."""


class Redactor:
    """Replaces secrets in every log line, by key and by value."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def learn(self, values: Iterable[str]) -> None:
        """Remember loaded secrets; values shorter than 4 characters would blank ordinary text and are left to the key rule."""
        self._values.update(value for value in values if len(value) >= 4)

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if key.lower() in SECRET_KEYS:
                event[key] = "<secret>"
            elif isinstance(value, str):
                event[key] = self._clean(value)
        return event

    def _clean(self, text: str) -> str:
        for value in self._values:
            if value in text:
                text = text.replace(value, "<secret>")
        return text


def worth_telling(record: logging.LogRecord) -> bool:
    """False for uvloop's complaint about a TLS handshake that was given up: whoever gave it up has said so already."""
    error = record.exc_info[1] if record.exc_info else None
    given_up = isinstance(error, RuntimeError) and "the handler is closed" in str(error)
    return not (given_up and record.getMessage().startswith("Fatal error on SSL protocol"))


def configure_logs(*, service: str, json_lines: bool | None = None, level: str = "INFO") -> Redactor:
    """Set up structlog and the standard library's logging for one process; returns the redactor to teach secrets to."""
    redactor = Redactor()
    as_json = json_lines if json_lines is not None else not sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redactor,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[strip, redactor, last])
    )
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level)
    for noisy in ("aiokafka", "kubernetes_asyncio", "pymodbus", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("asyncio").filters[:] = [worth_telling]
    structlog.contextvars.bind_contextvars(service=service)
    return redactor

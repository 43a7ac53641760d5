"""Logging: one line a fact, for people or as JSON, with the request it belongs to and without secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

HIDDEN = "[hidden]"
_SECRET_KEY = re.compile(
    r"(^|_)(password|passwd|secret|token|authorization|cookie|signature|credential|api_?key)s?($|_)",
    re.IGNORECASE,
)
_HARMLESS_KEYS = frozenset({"token_prefix", "token_type", "token_id"})
_SECRET_TEXT = re.compile(
    r"(?P<lead>\bbearer\s+|://[^/\s:@]*:)(?P<secret>[^\s@'\",]+)"
    r"|\b(?:saga_|sagajoin_|whsec_)[A-Za-z0-9_+/=-]{16,}"
    # The proof of a link in a message: the path of a request that is refused has it.
    r"|(?P<link>\b[0-9a-f]{32}\.)[0-9a-f]{64}\b",
    re.IGNORECASE,
)


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING: everything goes to standard error, as text or one JSON object a line."""
    _configure_structlog()
    renderers: list[Any] = [
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "saga": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _described(),
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    hide_secrets,
                    *renderers,
                ],
            }
        },
        "filters": {
            "unexpected": {"()": Unexpected},
            "one_line": {"()": OneLine},
            "refused": {"()": RefusedRequest},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "saga",
                "filters": ["refused"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": "INFO", "propagate": True, "handlers": []},
            "django.request": {"level": "ERROR", "filters": ["unexpected"]},
            "uvicorn": {"level": "WARNING", "propagate": True, "handlers": []},
            "uvicorn.access": {"level": "WARNING", "propagate": True, "handlers": []},
            "axes": {"level": "WARNING"},
            "celery": {"level": "INFO"},
            # It says the same as our own lines about a task, once more.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING", "filters": ["one_line"]},
        },
    }


class Unexpected(logging.Filter):
    """Keeps answers of 500: whatever else Django would log was logged where it was decided."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", 500) == 500


class OneLine(logging.Filter):
    """Shortens a record to its first line: beat logs 60 for each message that Redis refuses."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
        record.exc_info = record.exc_text = None
        return True


class RefusedRequest(OneLine):
    """Shortens what Django logs of requests that it refuses, such as one with a foreign ``Host``."""

    def filter(self, record: logging.LogRecord) -> bool:
        is_refusal = record.name.startswith("django.security.")
        return super().filter(record) if is_refusal else True


def _described() -> list[Any]:
    """Processors that every log line passes, including those of libraries."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_described(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


# --- Secrets --------------------------------------------------------------------------------------


def hide_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: no value under a secret's name, no token or password within a text."""
    for key, value in event.items():
        event[key] = _hidden(key, value)
    return event


def _hidden(key: str, value: Any) -> Any:
    if value is not None and key not in _HARMLESS_KEYS and _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, str):
        return _SECRET_TEXT.sub(_hide_match, value)
    if isinstance(value, Mapping):
        return {str(inner): _hidden(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", item) for item in value]
    return value


def _hide_match(match: re.Match[str]) -> str:
    return f"{match['lead'] or match['link'] or ''}{HIDDEN}"

"""Structured logs without patient data: job ids and hashed UIDs only."""

from __future__ import annotations

import hashlib
import logging
import sys
import traceback
import unicodedata
from typing import Literal

import structlog

from core.settings import CommonSettings

FORBIDDEN_KEYS = frozenset(
    {
        "patient_id",
        "patient_name",
        "patient_birth_date",
        "accession_number",
        "study_instance_uid",
        "series_instance_uid",
        "sop_instance_uid",
    }
)
"""Never logged as they are; a UID goes through ``pseudonym`` first."""

STEERING_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control, format (writing direction too), surrogate, line and paragraph separator."""


def pseudonym(uid: str) -> str:
    """Return a short, stable stand-in for a UID, so that log lines about one study can be joined."""
    return hashlib.sha256(uid.encode()).hexdigest()[:12]


def configure_logs(settings: CommonSettings, role: str) -> None:
    """Send this process's logs to standard error, one line an event."""
    configure(settings.log_level, settings.log_format, role)


def configure(level: str, form: Literal["console", "json"], role: str) -> None:
    """Configure structlog and the standard library's logging alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
        _escape,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _show_frames,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in (
        "celery",
        "kombu",
        "pynetdicom",
        "alembic",
        "httpx",
        "uvicorn.access",
        "pydicom",
        "highdicom",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)


def logger() -> structlog.stdlib.BoundLogger:
    """Return a logger; bind ids, never patient data."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger()
    return bound


def _show_frames(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say where an error came from and of which class it is; its text may name a patient."""
    given = event.pop("exc_info", None)  # True, an error, or what sys.exc_info() returns
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if error is not None:
        frames = "".join(traceback.format_tb(error.__traceback__))
        event["exception"] = f"{frames}{type(error).__qualname__}"
    return event


def _redact(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in FORBIDDEN_KEYS & event.keys():
        event[key] = pseudonym(str(event[key]))
    return event


def _escape(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Show what would break a line or steer a terminal as its escape: peers choose AE titles and URLs."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = "".join(_shown(character) for character in value)
    return event


def _shown(character: str) -> str:
    if unicodedata.category(character) in STEERING_CATEGORIES:
        return character.encode("unicode_escape").decode("ascii")
    return character

"""Readiness: can the service do its work at this moment, and if not, what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery import Celery
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from core.schema import current_revision, head_revision
from core.study_store import StudyStore

BROKER_TIMEOUT_S = 3
"""A readiness probe must be answered before its asker loses patience (ten seconds is usual)."""

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the service cannot work without; ``detail`` says what was found when it failed."""

    name: str
    passed: bool
    detail: str = ""


def check_readiness(
    engine: Engine, store: StudyStore, broker: Celery, minimum_free_bytes: int
) -> tuple[Check, ...]:
    """Look at database, store and broker, each whatever the others say."""
    return (
        _check("database", lambda: _database(engine)),
        _check("store", lambda: _store(store, minimum_free_bytes)),
        _check("broker", lambda: _broker(broker)),
    )


def _check(name: str, look: Callable[[], str]) -> Check:
    detail = look()
    return Check(name, passed=not detail, detail=detail)


def _database(engine: Engine) -> str:
    """Return what is wrong with the database; URL and parameters stay out of the text."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        found, expected = current_revision(engine), head_revision()
    except SQLAlchemyError as error:
        return f"does not answer ({type(error).__name__})"
    return "" if found == expected else f"has schema {found}, expected {expected}"


def _store(store: StudyStore, minimum_free_bytes: int) -> str:
    path = store.temporary_path()
    try:
        path.write_bytes(b"ready")
        path.unlink()
        free_bytes = store.free_bytes()
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    if free_bytes < minimum_free_bytes:
        return f"has {free_bytes // MIB} MiB free, expected at least {minimum_free_bytes // MIB} MiB"
    return ""


def _broker(broker: Celery) -> str:
    try:
        with broker.connection_for_write(connect_timeout=BROKER_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - every transport raises classes of its own
        return f"cannot be reached ({type(error).__name__})"
    return ""

"""`metserve key`: keys of programs that use REST and DICOMweb."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.audit import Actor, Audit, AuditAction, AuditEvent, AuditKind
from core.clock import Clock
from core.database import ApiKeyRow
from core.destinations import AETitle
from core.errors import InvalidInput
from service.access.api_keys import KeyBook, KeyRequest, principal_of
from service.access.principal import Role

_DAYS = re.compile(r"(\d{1,5})d")


def key_request(
    name: str, roles: Sequence[Role], sources: Sequence[str], expires: str | None, now: datetime
) -> KeyRequest:
    """Return what was asked for on the command line.

    Raises
    ------
    InvalidInput
        A source is no AE title, or the end is neither a date nor a number of days.
    """
    try:
        titles = TypeAdapter(tuple[AETitle, ...]).validate_python(tuple(sources))
    except ValidationError as error:
        wrong = "; ".join(f"{e['input']!r}: {e['msg']}" for e in error.errors())
        raise InvalidInput(f"--source: expected AE titles; {wrong}") from error
    return KeyRequest(name, frozenset(roles), frozenset(titles), _end(expires, now))


def create(book: KeyBook, request: KeyRequest, audit: Audit, console: Console) -> None:
    """Make a key and print it, this once."""
    key = book.create(request)
    _tell(audit, AuditAction.CREATE, f"API key {request.name!r} made: {', '.join(sorted(request.roles))}")
    console.print(key, soft_wrap=True, highlight=False)
    Console(stderr=True).print("Keep it now: it cannot be shown again.", highlight=False)


def revoke(book: KeyBook, key_id: str, audit: Audit, console: Console) -> None:
    """Let a key open nothing from now on."""
    row = book.revoke(key_id)
    _tell(audit, AuditAction.DELETE, f"API key {row.name!r} ({row.id}) revoked")
    console.print(f"{row.id} ({escape(row.name)}) opens nothing any more", highlight=False)


def show(book: KeyBook, clock: Clock, console: Console) -> None:
    """Print every key, without its secret."""
    table = Table()
    for heading in ("id", "name", "roles", "sources", "state", "expires", "last used"):
        table.add_column(heading)
    for row in book.rows():
        principal = principal_of(row)
        table.add_row(
            row.id,
            escape(row.name),
            ", ".join(sorted(principal.roles)),
            "every" if principal.sources is None else ", ".join(sorted(principal.sources)),
            _state(row, clock()),
            _moment(row.expires_at),
            _moment(row.last_used_at),
        )
    console.print(table)


def _end(expires: str | None, now: datetime) -> datetime | None:
    if expires is None:
        return None
    days = _DAYS.fullmatch(expires)
    if days:
        return now + timedelta(days=int(days[1]))
    try:
        end = datetime.fromisoformat(expires)
    except ValueError as error:
        raise InvalidInput(f"--expires {expires!r}: expected a date such as 2027-01-31, or 90d") from error
    return end if end.tzinfo else end.replace(tzinfo=UTC)


def _state(row: ApiKeyRow, now: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "valid"


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else moment.strftime("%Y-%m-%d %H:%M UTC")


def _tell(audit: Audit, action: AuditAction, detail: str) -> None:
    """Leave in the audit trail who changed who may get in."""
    actor = Actor(_operator(), role="application")
    audit.record(AuditEvent(AuditKind.SECURITY_ALERT, action, (actor,), detail=detail))


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return f"uid {os.getuid()}"

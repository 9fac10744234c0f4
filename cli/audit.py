"""`metserve audit`: check, list and export the audit trail."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.audit import Actor, Audit
from core.database import Sessions
from core.errors import Defect, InvalidInput
from service.audit.chain import verify
from service.audit.reading import TrailFilter, looked_into, read


def check(sessions: Sessions, console: Console) -> None:
    """Say whether the chain is whole.

    Raises
    ------
    Defect
        A message was changed, moved or removed.
    """
    with sessions() as session:
        broken = verify(session)
    if broken is not None:
        raise Defect(f"the audit trail is broken at message {broken}: it, or one before it, was changed")
    console.print("the audit trail is whole")


def show(sessions: Sessions, audit: Audit, wanted: TrailFilter, limit: int, console: Console) -> None:
    """Print messages, oldest first."""
    table = Table()
    for heading in ("position", "recorded", "kind", "outcome", "who", "detail"):
        table.add_column(heading)
    with sessions() as session:
        for row in read(session, wanted, limit):
            message = ET.fromstring(row.message)  # noqa: S314 - our own
            who = ", ".join(actor.get("UserID", "") for actor in message.iter("ActiveParticipant"))
            detail = message.findtext("EventIdentification/EventOutcomeDescription", "")
            cells = (
                str(row.id),
                f"{row.recorded_at:%Y-%m-%d %H:%M:%S}",
                row.kind,
                str(row.outcome),
                who,
                detail,
            )
            table.add_row(*(escape(_printable(cell)) for cell in cells))
    audit.record(looked_into(_operator(), f"list: after {wanted.after}, at most {limit} messages"))
    console.print(table)


def export(sessions: Sessions, audit: Audit, wanted: TrailFilter, out: Path, console: Console) -> None:
    """Write messages into a file, an XML document a line; only its owner may read it.

    Raises
    ------
    InvalidInput
        The file exists.
    """
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InvalidInput(f"{str(out)!r} exists, expected the name of a new file") from error
    count = 0
    with os.fdopen(descriptor, "w", encoding="utf-8") as file, sessions() as session:
        for row in read(session, wanted):
            file.write(row.message.replace("\r", "&#13;").replace("\n", "&#10;") + "\n")
            count += 1
    audit.record(looked_into(_operator(), f"export: {count} messages"))
    console.print(f"{count} messages in {escape(str(out))}", highlight=False, soft_wrap=True)


def moment(text: str | None, option: str) -> datetime | None:
    """Return what was given as a date or time, UTC unless it says otherwise.

    Raises
    ------
    InvalidInput
        It is neither.
    """
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{option} {text!r}: expected a date or time such as 2027-01-31T08:00") from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _printable(text: str) -> str:
    """Replace what would steer a terminal: peers choose names."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _operator() -> Actor:
    try:
        return Actor(getpass.getuser())
    except (KeyError, OSError):  # a container's user has no name
        return Actor(f"uid {os.getuid()}")

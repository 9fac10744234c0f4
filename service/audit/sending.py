"""Audit messages to the hospital's audit record repository: RFC 5424 syslog over TLS (RFC 5425)."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update

from core.clock import Clock
from core.database import AuditRow, Sessions
from core.errors import InvalidInput, Transient
from core.settings import AuditSettings

PRIORITY = 85
"""Facility 10 (security), severity 5 (notice): PS3.15 A.6."""

MESSAGE_ID = "DICOM+RFC3881"
"""MSGID of messages in the schema of PS3.15 A.5.1, as archives send it."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Says that the message is UTF-8, RFC 5424 section 6.4."""

BATCH = 200
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class AuditSender:
    """Sends what the repository does not have yet, in order."""

    settings: AuditSettings
    sessions: Sessions
    read_sessions: Sessions
    clock: Clock

    def send_due(self) -> int:
        """Send up to a batch; return how many messages that were.

        TCP acknowledges nothing to us: after a broken connection the batch is sent again, and the
        repository may have some messages twice.

        Raises
        ------
        Transient
            The repository cannot be reached.
        """
        if not self.settings.repository_host:
            return 0
        with self.read_sessions() as session:
            statement = select(AuditRow).where(AuditRow.sent_at.is_(None)).order_by(AuditRow.id).limit(BATCH)
            rows = list(session.scalars(statement))
        if not rows:
            return 0
        self._send([syslog_frame(row, self.settings.source_id) for row in rows])
        with self.sessions.begin() as session:
            ids = [row.id for row in rows]
            session.execute(update(AuditRow).where(AuditRow.id.in_(ids)).values(sent_at=self.clock()))
        return len(rows)

    def _send(self, frames: Sequence[bytes]) -> None:
        settings = self.settings
        where = f"{settings.repository_host}:{settings.repository_port}"
        try:
            address = (settings.repository_host, settings.repository_port)
            with socket.create_connection(address, TIMEOUT_S) as plain:
                if settings.repository_protocol == "tcp":
                    _send_all(plain, frames)
                    return
                context = repository_context(settings)
                with context.wrap_socket(plain, server_hostname=settings.repository_host) as secure:
                    _send_all(secure, frames)
                    _say_goodbye(secure)
        except OSError as error:
            raise Transient(f"the audit record repository at {where} cannot be reached: {error}") from error


def repository_context(settings: AuditSettings) -> ssl.SSLContext:
    """Return the TLS context for the repository.

    Raises
    ------
    InvalidInput
        A file of the settings cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=_text(settings.repository_authorities))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:
        raise InvalidInput(f"METSERVE_AUDIT_: a certificate file cannot be used: {error}") from error
    return context


def syslog_frame(row: AuditRow, source_id: str) -> bytes:
    """Return a message framed by its length (RFC 5425 section 4.3)."""
    timestamp = row.recorded_at.isoformat(timespec="milliseconds")
    header = (
        f"<{PRIORITY}>1 {timestamp} {socket.gethostname()} {_token(source_id)} {os.getpid()} {MESSAGE_ID} - "
    )
    content = header.encode("ascii", "replace") + BYTE_ORDER_MARK + row.message.encode()
    return str(len(content)).encode("ascii") + b" " + content


def _send_all(connection: socket.socket, frames: Sequence[bytes]) -> None:
    for frame in frames:
        connection.sendall(frame)


def _say_goodbye(secure: ssl.SSLSocket) -> None:
    """Wait until the repository has read to the end; a refused certificate shows here as an error."""
    # Not every server says goodbye itself: one closes at once, another not at all.
    with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError, TimeoutError):
        secure.unwrap()


def _token(text: str) -> str:
    """Return printable ASCII without spaces, at most 48 characters (APP-NAME)."""
    return "".join(c for c in text if "!" <= c <= "~")[:48] or "-"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)

"""Sending the trail on, to a syslog receiver with a certificate of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from sqlalchemy import select

from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from core.database import AuditRow, Base, Sessions, open_engine, open_sessions
from core.errors import Transient
from core.settings import AuditSettings
from service.audit.sending import AuditSender
from service.audit.trail import AuditTrail


def now() -> datetime:
    return datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'audit.db'}")
    Base.metadata.create_all(engine)
    yield open_sessions(engine)
    engine.dispose()


@contextmanager
def repository(authority: trustme.CA) -> Iterator[tuple[int, list[bytes]]]:
    """Run a receiver of syslog over TLS; give its port and what it was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secure:
                while data := secure.recv(65536):
                    received.append(data)
                secure.unwrap().close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], received
        thread.join(10)


def settings_for(port: int, authority: trustme.CA, folder: Path) -> AuditSettings:
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return AuditSettings(repository_host="localhost", repository_port=port, repository_authorities=path)


def unsent(sessions: Sessions) -> int:
    with sessions() as session:
        return len(session.scalars(select(AuditRow).where(AuditRow.sent_at.is_(None))).all())


def test_messages_arrive_framed_and_in_order(sessions: Sessions, tmp_path: Path) -> None:
    authority = trustme.CA()
    trail = AuditTrail(sessions, now, "radiology", tmp_path / "waiting")
    for user in ("first", "second"):
        trail.record(AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (Actor(user),)))
    with repository(authority) as (port, received):
        settings = settings_for(port, authority, tmp_path)
        sender = AuditSender(settings, sessions, sessions, now)
        assert sender.send_due() == 2
    first, second = _frames(b"".join(received))
    assert first.startswith(b"<85>1 2026-11-24T05:00:00.000+00:00 ")
    assert b" DICOM+RFC3881 - \xef\xbb\xbf<AuditMessage>" in first
    assert b"first" in first
    assert b"second" in second
    assert unsent(sessions) == 0
    assert sender.send_due() == 0


def test_what_cannot_be_sent_waits(sessions: Sessions, tmp_path: Path) -> None:
    AuditTrail(sessions, now, "radiology", tmp_path / "waiting").record(
        AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (Actor("user"),))
    )
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    settings = settings_for(port, trustme.CA(), tmp_path)
    with pytest.raises(Transient, match=f"localhost:{port} cannot be reached"):
        AuditSender(settings, sessions, sessions, now).send_due()
    assert unsent(sessions) == 1


def _frames(stream: bytes) -> list[bytes]:
    frames = []
    while stream:
        length, _, rest = stream.partition(b" ")
        frames.append(rest[: int(length)])
        stream = rest[int(length) :]
    return frames

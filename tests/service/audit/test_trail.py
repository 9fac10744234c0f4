import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from core.database import AuditRow, Base, Sessions, open_engine, open_sessions
from service.audit.chain import verify
from service.audit.trail import AuditTrail

WRITERS, EVENTS_A_WRITER = 4, 15


def event(user: str = "PACS") -> AuditEvent:
    return AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (Actor(user),))


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'audit.db'}")
    Base.metadata.create_all(engine)
    yield open_sessions(engine)
    engine.dispose()


@pytest.fixture
def trail(sessions: Sessions, tmp_path: Path) -> AuditTrail:
    return AuditTrail(
        sessions, lambda: datetime(2026, 11, 24, tzinfo=UTC), "test", tmp_path / "waiting.jsonl"
    )


def rows(sessions: Sessions) -> list[AuditRow]:
    with sessions() as session:
        return list(session.scalars(select(AuditRow).order_by(AuditRow.id)))


def broken_at(sessions: Sessions) -> int | None:
    with sessions() as session:
        return verify(session)


def test_each_message_names_the_digest_of_the_one_before(trail: AuditTrail, sessions: Sessions) -> None:
    for _ in range(3):
        trail.record(event())
    first, second, third = rows(sessions)
    assert [first.id, second.id, third.id] == [1, 2, 3]
    assert second.previous_digest == first.digest
    assert third.previous_digest == second.digest
    assert broken_at(sessions) is None


def _change(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(update(AuditRow).where(AuditRow.id == 3).values(message="<AuditMessage/>"))


def _remove(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(delete(AuditRow).where(AuditRow.id == 2))


def _swap(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(update(AuditRow).where(AuditRow.id == 2).values(id=99))
        session.execute(update(AuditRow).where(AuditRow.id == 3).values(id=2))


@pytest.mark.parametrize("tamper", [_change, _remove, _swap])
def test_what_was_changed_removed_or_moved_is_found(
    trail: AuditTrail, sessions: Sessions, tamper: Callable[[Sessions], None]
) -> None:
    for number in range(5):
        trail.record(event(f"user {number}"))
    tamper(sessions)
    assert broken_at(sessions) in {2, 3}


def test_writers_at_the_same_moment_make_one_chain(trail: AuditTrail, sessions: Sessions) -> None:
    def write() -> None:
        for _ in range(EVENTS_A_WRITER):
            trail.record(event())

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(sessions)) == WRITERS * EVENTS_A_WRITER
    assert broken_at(sessions) is None


def test_what_the_database_does_not_take_waits_in_a_file(
    trail: AuditTrail, sessions: Sessions, tmp_path: Path
) -> None:
    trail.record(event("before"))
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE audit_event RENAME TO away"))
    trail.record(event("while"))
    assert (tmp_path / "waiting.jsonl").stat().st_mode & 0o777 == 0o600
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE away RENAME TO audit_event"))
    assert trail.catch_up() == 1
    assert trail.catch_up() == 0
    assert ["before" in rows(sessions)[0].message, "while" in rows(sessions)[1].message] == [True, True]
    assert broken_at(sessions) is None

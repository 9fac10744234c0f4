"""Old messages leave the trail, and the chain knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from core.database import AuditRow, Base, Sessions, open_engine, open_sessions
from service.audit.chain import verify
from service.audit.reading import TrailFilter, read
from service.audit.trail import AuditTrail
from tests.service.service_records import MovedClock

DAY_S = 86_400


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'audit.db'}")
    Base.metadata.create_all(engine)
    yield open_sessions(engine)
    engine.dispose()


@pytest.fixture
def trail(sessions: Sessions, clock: MovedClock, tmp_path: Path) -> AuditTrail:
    trail = AuditTrail(sessions, clock, "test", tmp_path / "waiting.jsonl")
    for day in range(6):
        trail.record(AuditEvent(AuditKind.QUERY, AuditAction.EXECUTE, (Actor(f"day {day}"),)))
        clock.advance(DAY_S)
    return trail


def positions(sessions: Sessions) -> list[int]:
    with sessions() as session:
        return [row.id for row in read(session, TrailFilter())]


def broken_at(sessions: Sessions) -> int | None:
    with sessions() as session:
        return verify(session)


def test_a_trail_without_its_oldest_messages_is_whole(trail: AuditTrail, sessions: Sessions) -> None:
    assert trail.prune(timedelta(days=3.5), only_sent=False) == 4
    assert positions(sessions) == [4, 5, 6, 7]
    assert broken_at(sessions) is None


def test_it_stays_whole_when_it_is_shortened_again(
    trail: AuditTrail, sessions: Sessions, clock: MovedClock
) -> None:
    trail.prune(timedelta(days=3.5), only_sent=False)
    clock.advance(DAY_S)
    assert trail.prune(timedelta(days=3.5), only_sent=False) == 5
    assert broken_at(sessions) is None


def test_a_beginning_that_was_cut_off_by_hand_is_found(trail: AuditTrail, sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(delete(AuditRow).where(AuditRow.id < 4))
    assert broken_at(sessions) == 4


def test_nothing_old_is_nothing_removed(trail: AuditTrail, sessions: Sessions) -> None:
    assert trail.prune(timedelta(days=30), only_sent=False) == 0
    assert positions(sessions) == [1, 2, 3, 4, 5, 6]


def test_what_the_repository_does_not_have_stays(
    trail: AuditTrail, sessions: Sessions, clock: MovedClock
) -> None:
    with sessions.begin() as session:
        session.execute(update(AuditRow).where(AuditRow.id < 3).values(sent_at=clock()))
    assert trail.prune(timedelta(days=1), only_sent=True) == 3
    assert positions(sessions)[0] == 3


def test_messages_are_found_by_kind_and_time(
    trail: AuditTrail, sessions: Sessions, clock: MovedClock
) -> None:
    with sessions() as session:
        recorded = session.scalar(select(AuditRow.recorded_at).where(AuditRow.id == 5))
        late = TrailFilter(kind=AuditKind.QUERY, since=recorded)
        assert [row.id for row in read(session, late)] == [5, 6]
        assert list(read(session, TrailFilter(kind=AuditKind.STUDY_DELETED))) == []
        assert [row.id for row in read(session, TrailFilter(after=2), 2)] == [3, 4]

"""API keys: made once, judged each time, never kept."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from core.database import ApiKeyRow
from core.errors import InvalidInput
from service.access.api_keys import KeyBook, KeyRequest
from service.access.principal import Principal, Role
from service.access.refusals import Refused
from tests.service.service_records import NOON, MovedClock, Records

VIEWER = KeyRequest("ris", frozenset({Role.VIEWER}))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def book(records: Records, clock: MovedClock) -> KeyBook:
    return KeyBook(records.sessions, records.read_sessions, clock, os.urandom)


def test_a_key_opens_what_it_was_made_for(book: KeyBook) -> None:
    key = book.create(KeyRequest("ris", frozenset({Role.VIEWER, Role.SERVICE}), frozenset({"MRI1"})))
    assert book.judge(key).principal == Principal(
        "ris", frozenset({Role.VIEWER, Role.SERVICE}), frozenset({"MRI1"})
    )


def test_a_key_without_sources_sees_every_study(book: KeyBook) -> None:
    assert book.judge(book.create(VIEWER)).principal.sources is None


def test_the_database_holds_nothing_that_opens_anything(records: Records, book: KeyBook) -> None:
    key = book.create(VIEWER)
    secret = key.split("_", 2)[2]
    with records.engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM api_key")).all())
    assert secret not in kept
    with pytest.raises(Refused):
        book.judge(f"metserve_{book.rows()[0].id}_{book.rows()[0].secret_digest[:43]}")


@pytest.mark.parametrize(
    "template",
    [
        "metserve_{id}_{other}",
        "metserve_f{id}_{secret}",
        "metserve_000000000000_{secret}",
        "metserve_{id}_{secret}A",
        "metserve_{id}_{secret}\n",
        "METSERVE_{id}_{secret}",
        "metserve_{id}_",
        "metserve_{secret}",
        "",
    ],
)
def test_a_key_that_differs_in_anything_is_refused(book: KeyBook, template: str) -> None:
    _, key_id, secret = book.create(VIEWER).split("_", 2)
    other = ("B" if secret.startswith("A") else "A") + secret[1:]
    with pytest.raises(Refused) as refusal:
        book.judge(template.format(id=key_id, secret=secret, other=other))
    assert refusal.value.status == 401
    assert "WWW-Authenticate" in refusal.value.headers


def test_an_expired_key_is_refused_from_that_moment_on(book: KeyBook, clock: MovedClock) -> None:
    key = book.create(KeyRequest("ris", frozenset({Role.VIEWER}), expires_at=NOON + timedelta(seconds=10)))
    clock.advance(9)
    book.judge(key)
    clock.advance(1)
    with pytest.raises(Refused):
        book.judge(key)


def test_a_revoked_key_is_refused(book: KeyBook) -> None:
    key = book.create(VIEWER)
    book.revoke(book.rows()[0].id)
    with pytest.raises(Refused):
        book.judge(key)


def test_the_last_use_is_kept_but_not_of_every_request(book: KeyBook, clock: MovedClock) -> None:
    key = book.create(VIEWER)
    book.judge(key)
    clock.advance(59)
    book.judge(key)
    assert book.rows()[0].last_used_at == NOON
    clock.advance(2)
    book.judge(key)
    assert book.rows()[0].last_used_at == NOON + timedelta(seconds=61)


def test_a_database_that_cannot_be_written_turns_nobody_away(records: Records, clock: MovedClock) -> None:
    key = KeyBook(records.sessions, records.read_sessions, clock, os.urandom).create(VIEWER)
    read_only = KeyBook(records.sessions, records.read_sessions, clock, os.urandom)
    with records.engine.begin() as connection:
        connection.execute(
            text("CREATE TRIGGER full BEFORE UPDATE ON api_key BEGIN SELECT RAISE(ABORT, 'full'); END")
        )
    assert read_only.judge(key).principal.name == "ris"


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (KeyRequest("", frozenset({Role.VIEWER})), "name"),
        (KeyRequest("ris", frozenset()), "role"),
        (KeyRequest("ris", frozenset({Role.VIEWER}), expires_at=NOON), "past"),
    ],
)
def test_a_key_needs_a_name_a_role_and_a_future(book: KeyBook, request_: KeyRequest, wrong: str) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        book.create(request_)


def test_only_a_key_that_is_there_can_be_revoked(book: KeyBook) -> None:
    with pytest.raises(InvalidInput, match="there is no key 'nothing'"):
        book.revoke("nothing")


def test_a_key_row_does_not_show_a_secret(book: KeyBook) -> None:
    secret = book.create(VIEWER).split("_", 2)[2]
    assert all(isinstance(row, ApiKeyRow) and secret not in repr(vars(row)) for row in book.rows())

"""API keys of programs: made, listed, revoked, judged. The secret itself is kept nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from core.clock import Clock
from core.database import ApiKeyRow, Sessions
from core.errors import InvalidInput
from core.logs import logger
from service.access.credentials import Identity
from service.access.principal import Principal, Role
from service.access.refusals import invalid_credentials

PREFIX = "metserve_"
"""Lets scanners of source code and logs find a key that leaked."""

SECRET_BYTES = 32
ID_BYTES = 6

_KEY = re.compile(r"metserve_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")

LAST_USED_STEP = timedelta(minutes=1)
"""Not every request writes to the database."""

NOBODYS_DIGEST = "0" * 64
"""Compared with when the id is unknown, so that it takes as long."""

NOT_ACCEPTED = "the API key is not known, was revoked or has expired"
"""Which of them is for the log of the one who made it, not for the one who guesses."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key somebody asks for.

    Parameters
    ----------
    sources
        AE titles; only studies they sent are visible. Empty: every study.
    expires_at
        None: never.
    """

    name: str
    roles: frozenset[Role]
    sources: frozenset[str] = frozenset()
    expires_at: datetime | None = None


class KeyBook:
    """The keys in the database."""

    def __init__(
        self, sessions: Sessions, read_sessions: Sessions, clock: Clock, random_bytes: RandomBytes
    ) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._clock = clock
        self._random_bytes = random_bytes

    def create(self, request: KeyRequest) -> str:
        """Make a key and return it: this is the only time it can be read.

        Raises
        ------
        InvalidInput
            It has no name or role, or expires in the past.
        """
        _check(request, self._clock())
        key_id = self._random_bytes(ID_BYTES).hex()
        secret = self._random_bytes(SECRET_BYTES)
        row = ApiKeyRow(
            id=key_id,
            name=request.name,
            secret_digest=_digest(secret),
            roles={"roles": sorted(request.roles)},
            sources={"ae_titles": sorted(request.sources)} if request.sources else {},
            created_at=self._clock(),
            expires_at=request.expires_at,
        )
        with self._sessions.begin() as session:
            session.add(row)
        return f"{PREFIX}{key_id}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"

    def rows(self) -> list[ApiKeyRow]:
        """Return every key, the newest last."""
        with self._read_sessions() as session:
            return list(session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)))

    def revoke(self, key_id: str) -> ApiKeyRow:
        """Let a key open nothing from now on.

        Raises
        ------
        InvalidInput
            There is no such key.
        """
        with self._sessions.begin() as session:
            row = session.get(ApiKeyRow, key_id)
            if row is None:
                raise InvalidInput(f"there is no key {key_id!r}; `metserve key list` shows those there are")
            row.revoked_at = row.revoked_at or self._clock()
            return row

    def judge(self, text: str) -> Identity:
        """Return whose key it is.

        Raises
        ------
        Refused
            The key is malformed, unknown, revoked or expired.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            raise invalid_credentials(NOT_ACCEPTED)
        with self._read_sessions() as session:
            row = session.get(ApiKeyRow, found["id"])
        digest = _digest(base64.urlsafe_b64decode(found["secret"] + "="))
        matches = hmac.compare_digest(digest, row.secret_digest if row else NOBODYS_DIGEST)
        now = self._clock()
        if row is None or not matches or not _is_valid(row, now):
            raise invalid_credentials(NOT_ACCEPTED)
        self._note_use(row, now)
        return Identity(principal_of(row), f"key:{row.id}")

    def _note_use(self, row: ApiKeyRow, now: datetime) -> None:
        """Keep when it was used last; a database that is busy must not turn the user away."""
        step_ago = now - LAST_USED_STEP
        if row.last_used_at is not None and row.last_used_at > step_ago:
            return
        is_older = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at <= step_ago)
        try:
            with self._sessions.begin() as session:
                session.execute(
                    update(ApiKeyRow).where(ApiKeyRow.id == row.id, is_older).values(last_used_at=now)
                )
        except SQLAlchemyError as error:
            logger().warning("the last use of a key was not kept", error=type(error).__name__)


def principal_of(row: ApiKeyRow) -> Principal:
    """Return what a key stands for."""
    titles = row.sources.get("ae_titles")
    return Principal(
        name=row.name,
        roles=frozenset(Role(name) for name in row.roles["roles"]),
        sources=frozenset(titles) if titles else None,
    )


def _check(request: KeyRequest, now: datetime) -> None:
    if not request.name.strip() or not request.name.isprintable():
        raise InvalidInput(f"key name {request.name!r}: expected a name that says which program uses it")
    if not request.roles:
        raise InvalidInput(f"key {request.name!r} has no role, expected one of {', '.join(Role)}")
    if request.expires_at is not None and request.expires_at <= now:
        raise InvalidInput(f"key {request.name!r} would expire at {request.expires_at}, which is in the past")


def _is_valid(row: ApiKeyRow, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _digest(secret: bytes) -> str:
    """Return the SHA-256: 32 random bytes need no slow hash, nobody can guess them."""
    return hashlib.sha256(secret).hexdigest()

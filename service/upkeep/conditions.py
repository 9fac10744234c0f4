"""Conditions: what is wrong now and wants a person. Each is told once when it comes and once when it goes.

A condition lasts until the check that found it no longer does. One that a broken check may have found
stays as it is: not to know is not the same as to be well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from core.clock import Clock
from core.database import ConditionRow, Sessions
from core.logs import logger
from service.alerts import Webhook
from service.upkeep.steps import Step, attempt

RAISED, CLEARED = "condition_raised", "condition_cleared"
"""Kinds of message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now; holds no patient data.

    Parameters
    ----------
    key
        What is wrong, and behind a colon with what: ``disk``, ``destination:pacs``.
    message
        For people: what was found and what was expected.
    """

    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """Looks for conditions of one kind.

    Parameters
    ----------
    kind
        What their keys begin with, up to the colon.
    look
        Returns those that are there now.
    """

    kind: str
    look: Callable[[], Iterable[Condition]]


class Conditions:
    """Keeps the table of conditions, and tells the webhook what comes and goes.

    Parameters
    ----------
    checks
        Each of its own kind.
    repeat_s
        While a condition lasts, the webhook is told again after so long.
    """

    def __init__(
        self,
        sessions: Sessions,
        read_sessions: Sessions,
        webhook: Webhook,
        clock: Clock,
        checks: Sequence[Check],
        repeat_s: float,
    ) -> None:
        self._sessions = sessions
        self._read_sessions = read_sessions
        self._webhook = webhook
        self._clock = clock
        self._checks = tuple(checks)
        self._repeat = timedelta(seconds=repeat_s)

    def look(self) -> None:
        """Do every check once; one that fails holds up no other."""
        attempt(Step("forget what is checked no more", self._forget_unchecked))
        for check in self._checks:
            attempt(Step(f"check {check.kind}", lambda check=check: self._look(check)))  # type: ignore[misc]

    def _look(self, check: Check) -> None:
        found = {condition.key: condition for condition in check.look()}
        for key, row in self._known(check.kind).items():
            if key not in found:
                self._clear(row)
        known = self._known(check.kind)
        for condition in found.values():
            self._keep_up(condition, known.get(condition.key))

    def _forget_unchecked(self) -> None:
        """Clear what a check found that the settings have since switched off."""
        kinds = {check.kind for check in self._checks}
        with self._read_sessions() as session:
            rows = list(session.scalars(select(ConditionRow)))
        for row in rows:
            if _kind(row.key) not in kinds:
                self._clear(row)

    def _known(self, kind: str) -> dict[str, ConditionRow]:
        with self._read_sessions() as session:
            rows = session.scalars(select(ConditionRow))
            return {row.key: row for row in rows if _kind(row.key) == kind}

    def _keep_up(self, condition: Condition, row: ConditionRow | None) -> None:
        """Tell about a condition if it is time to, then write it down.

        In this order: when the disk is full, somebody is told although nothing can be written.
        """
        now = self._clock()
        since = now if row is None else row.since
        told_at = None if row is None else row.alerted_at
        if row is None:
            logger().error("a condition wants attention", condition=condition.key, detail=condition.message)
        if (told_at is None or now - told_at >= self._repeat) and self._tell(RAISED, condition, since):
            told_at = now
        changed = ConditionRow(
            key=condition.key, message=condition.message, since=since, alerted_at=told_at, cleared_at=None
        )
        if row is None or _differs(row, changed):
            with self._sessions.begin() as session:
                session.merge(changed)

    def _clear(self, row: ConditionRow) -> None:
        """Tell that a condition is gone if somebody was told that it came; then forget it."""
        if row.cleared_at is None:
            logger().info("a condition is gone", condition=row.key)
        gone = Condition(row.key, row.message)
        forgotten = row.alerted_at is None or self._tell(CLEARED, gone, row.since)
        with self._sessions.begin() as session:
            kept = session.get_one(ConditionRow, row.key)
            if forgotten:
                session.delete(kept)
            elif kept.cleared_at is None:
                kept.cleared_at = self._clock()

    def _tell(self, kind: str, condition: Condition, since: datetime) -> bool:
        return self._webhook.tell(
            {
                "kind": kind,
                "job_id": "",
                "reason": condition.key,
                "message": condition.message,
                "since": since.isoformat(timespec="seconds"),
            }
        )


def _kind(key: str) -> str:
    return key.partition(":")[0]


def _differs(row: ConditionRow, other: ConditionRow) -> bool:
    return (row.message, row.alerted_at, row.cleared_at) != (
        other.message,
        other.alerted_at,
        other.cleared_at,
    )

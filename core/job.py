"""Job: one analysis of one revision of a study, and the only table of its state changes."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from core.errors import Defect

MAX_ATTEMPTS = 3
"""A stage that failed this often parks its job: a poison study must not hold the queue."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    PREPARING = "preparing"
    PREPARED = "prepared"
    INFERRING = "inferring"
    INFERRED = "inferred"
    ENCODING = "encoding"
    ENCODED = "encoded"
    DELIVERED = "delivered"
    UNSUITABLE = "unsuitable"
    PARKED = "parked"
    SUPERSEDED = "superseded"


class Stage(StrEnum):
    """A unit of work the queue hands to a worker."""

    PREPARE = "prepare"
    INFER = "infer"
    ENCODE = "encode"


class Lane(StrEnum):
    """How soon a job's turn comes: workers take what is urgent first."""

    URGENT = "urgent"
    ROUTINE = "routine"


class Outcome(StrEnum):
    """What a finished job means for the study; every study ends in one of these."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSUITABLE = "unsuitable"
    FAILED = "failed"


_WORK_LOST = {JobState.PARKED, JobState.SUPERSEDED}

TRANSITIONS: MappingProxyType[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.QUEUED: frozenset({JobState.PREPARING, *_WORK_LOST}),
        JobState.PREPARING: frozenset({JobState.PREPARED, JobState.QUEUED, JobState.UNSUITABLE, *_WORK_LOST}),
        JobState.PREPARED: frozenset({JobState.INFERRING, *_WORK_LOST}),
        JobState.INFERRING: frozenset(
            {JobState.INFERRED, JobState.PREPARED, JobState.UNSUITABLE, *_WORK_LOST}
        ),
        JobState.INFERRED: frozenset({JobState.ENCODING, *_WORK_LOST}),
        JobState.ENCODING: frozenset({JobState.ENCODED, JobState.INFERRED, JobState.UNSUITABLE, *_WORK_LOST}),
        JobState.ENCODED: frozenset({JobState.DELIVERED}),
        JobState.DELIVERED: frozenset(),
        JobState.UNSUITABLE: frozenset(),
        JobState.PARKED: frozenset({JobState.QUEUED, JobState.SUPERSEDED}),
        JobState.SUPERSEDED: frozenset(),
    }
)
"""state -> the states that may follow it. PARKED -> QUEUED is a replay on request."""


class StageStates:
    """The three states a stage moves a job through."""

    def __init__(self, waiting: JobState, running: JobState, done: JobState) -> None:
        self.waiting = waiting
        self.running = running
        self.done = done


STAGES: MappingProxyType[Stage, StageStates] = MappingProxyType(
    {
        Stage.PREPARE: StageStates(JobState.QUEUED, JobState.PREPARING, JobState.PREPARED),
        Stage.INFER: StageStates(JobState.PREPARED, JobState.INFERRING, JobState.INFERRED),
        Stage.ENCODE: StageStates(JobState.INFERRED, JobState.ENCODING, JobState.ENCODED),
    }
)

WAITING_FOR_STAGE = MappingProxyType({states.waiting: stage for stage, states in STAGES.items()})
RUNNING_STAGE = MappingProxyType({states.running: stage for stage, states in STAGES.items()})
FINAL_STATES = frozenset(state for state, following in TRANSITIONS.items() if not following)
UNFINISHED_WORK = frozenset(WAITING_FOR_STAGE) | frozenset(RUNNING_STAGE)
"""States in which a worker still has something to do."""


def check_transition(current: JobState, following: JobState) -> None:
    """Raise Defect unless ``TRANSITIONS`` allows the change."""
    if following not in TRANSITIONS[current]:
        allowed = ", ".join(sorted(TRANSITIONS[current])) or "none, it is final"
        raise Defect(f"a job cannot go from {current} to {following}; allowed: {allowed}")

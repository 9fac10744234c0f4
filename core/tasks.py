"""The messages: names and queues of the Celery tasks. Arguments are a job id and nothing else.

Service and worker meet here by name; neither imports the other's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from core.job import Lane, Stage

TASK_NAMES: MappingProxyType[Stage, str] = MappingProxyType(
    {stage: f"metserve.{stage.value}" for stage in Stage}
)

QUEUES: MappingProxyType[Stage, str] = MappingProxyType({stage: stage.value for stage in Stage})
"""One queue a stage, so that a GPU takes ``infer`` alone while CPU workers prepare and encode."""

URGENT_QUEUES: MappingProxyType[Stage, str] = MappingProxyType(
    {stage: f"{stage.value}.urgent" for stage in Stage}
)
"""The same for the urgent lane; workers look there first."""

NOTICE_TASK = "metserve.notice"
"""Says in a DICOM object why a job's study was not analysed."""

NOTICE_QUEUE = QUEUES[Stage.ENCODE]
"""Whoever encodes results encodes notices."""


def queue_of(stage: Stage, lane: Lane) -> str:
    """Return the queue a job of this lane waits in for a stage."""
    return (URGENT_QUEUES if lane is Lane.URGENT else QUEUES)[stage]


def queues_of(stages: Iterable[Stage]) -> list[str]:
    """Return the queues of a worker that takes these stages, in the order it is to look at them."""
    taken = list(stages)
    return [queue_of(stage, lane) for lane in (Lane.URGENT, Lane.ROUTINE) for stage in taken]

"""The messages: names and queues of the Celery tasks. Arguments are a job id and nothing else.

Service and worker meet here by name; neither imports the other's code.
"""

from __future__ import annotations

from types import MappingProxyType

from core.job import Stage

TASK_NAMES: MappingProxyType[Stage, str] = MappingProxyType(
    {stage: f"metserve.{stage.value}" for stage in Stage}
)

QUEUES: MappingProxyType[Stage, str] = MappingProxyType({stage: stage.value for stage in Stage})
"""One queue a stage, so that a GPU takes ``infer`` alone while CPU workers prepare and encode."""

NOTICE_TASK = "metserve.notice"
"""Says in a DICOM object why a job's study was not analysed."""

NOTICE_QUEUE = QUEUES[Stage.ENCODE]
"""Whoever encodes results encodes notices."""

"""Keeps a lease alive while a stage computes, and carries its progress to the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from core import job_records
from core.clock import Clock
from core.database import Sessions
from core.errors import LeaseLost, Stopping
from core.job import Stage
from core.job_records import PROGRESS_AT_START, Lease
from core.logs import logger

RENEWALS_PER_LEASE = 3
"""Two renewals may fail before the lease ends."""


class Heartbeat:
    """Context manager: renews a lease from a thread of its own until the block ends."""

    def __init__(
        self,
        sessions: Sessions,
        lease: Lease,
        lease_s: float,
        clock: Clock,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._sessions = sessions
        self._lease = lease
        self._lease_s = lease_s
        self._clock = clock
        self._is_stopping = is_stopping
        self._progress = PROGRESS_AT_START[lease.stage]
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, fraction: float) -> None:
        """Note that this share (0..1) of the stage is done.

        Raises
        ------
        LeaseLost
            Another worker holds the job: computing on would be wasted.
        Stopping
            This process is to end: another worker will do the stage.
        """
        if self._is_stopping():
            raise Stopping(f"stage {self._lease.stage} is given back: this worker stops")
        if self._lost.is_set():
            raise LeaseLost(f"the lease on stage {self._lease.stage} was lost while computing")
        start = PROGRESS_AT_START[self._lease.stage]
        self._progress = start + fraction * (_progress_at_end(self._lease.stage) - start)

    def _beat(self) -> None:
        while not self._ended.wait(self._lease_s / RENEWALS_PER_LEASE):
            try:
                with self._sessions.begin() as session:
                    job_records.renew(
                        session,
                        self._lease,
                        lease_s=self._lease_s,
                        now=self._clock(),
                        progress=self._progress,
                    )
            except LeaseLost:
                self._lost.set()
                return
            except SQLAlchemyError as error:
                logger().warning("cannot renew the lease", error_class=type(error).__name__)


def _progress_at_end(stage: Stage) -> float:
    later = [PROGRESS_AT_START[s] for s in Stage if PROGRESS_AT_START[s] > PROGRESS_AT_START[stage]]
    return min(later, default=1.0)

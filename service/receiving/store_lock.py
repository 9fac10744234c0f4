"""One receiver a study store: a second one would sweep away what the first is receiving."""

from __future__ import annotations

import fcntl
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import InvalidInput
from core.study_store import StudyStore

LOCK_WAIT_S = 15.0
"""A receiver that was told to stop may take ``receiver.SHUTDOWN_GRACE_S`` to let its peers finish."""

LOCK_RETRY_S = 0.5

LOCK_FILE = "receive.lock"


@contextmanager
def sole_receiver(store: StudyStore, stop: threading.Event, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Be the only receiver of a study store; the lock ends with the process, however that ends.

    Raises
    ------
    InvalidInput
        Another receiver holds the store, and goes on doing so.
    """
    path = store.root / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for(descriptor, path, stop, math.ceil(wait_s / LOCK_RETRY_S))
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path, stop: threading.Event, retries: int) -> None:
    while not _is_locked(descriptor):
        if retries == 0 or stop.wait(LOCK_RETRY_S):
            raise InvalidInput(f"{path} is locked: expected one receiver a study store, another one runs")
        retries -= 1


def _is_locked(descriptor: int) -> bool:
    """Try to take the lock; tell whether it is ours."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

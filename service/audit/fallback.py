"""The file for audit messages that the database could not take."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from core.audit import AuditKind
from core.logs import logger
from service.audit.chain import Entry


class FallbackFile:
    """Messages that wait, one a line; several processes may use it at once.

    Parameters
    ----------
    path
        The file; only its owner may read it, for messages name patients.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, entry: Entry) -> None:
        """Append a message, on disk when this returns.

        Raises
        ------
        OSError
            The disk does not take it either.
        """
        fields = [entry.recorded_at.isoformat(), entry.kind.value, entry.outcome, entry.message]
        descriptor = self._open(os.O_RDWR | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The line break comes first: what a crash left half-written spoils no other line.
            file.write(b"\n" + json.dumps(fields).encode() + b"\n")
            os.fsync(file.fileno())

    def hand_over(self, take: Callable[[Sequence[Entry]], None]) -> int:
        """Give every message to ``take`` and forget them when it returns; return how many there were.

        A process that is killed between the two gives them again: a message may stand twice in the
        trail, but none goes missing.
        """
        if not self._waits():
            return 0
        with os.fdopen(self._open(os.O_RDWR), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            entries = [entry for line in file.read().splitlines() if (entry := _entry_of(line))]
            if entries:
                take(entries)
            file.truncate(0)
            os.fsync(file.fileno())
        return len(entries)

    def _waits(self) -> bool:
        try:
            return self._path.stat().st_size > 0
        except FileNotFoundError:
            return False

    def _open(self, flags: int) -> int:
        return os.open(self._path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _entry_of(line: bytes) -> Entry | None:
    if not line:
        return None
    try:
        recorded_at, kind, outcome, message = json.loads(line)
        return Entry(datetime.fromisoformat(recorded_at), AuditKind(kind), outcome, message)
    except ValueError:
        logger().error("a half-written audit event was dropped", size=len(line))
        return None

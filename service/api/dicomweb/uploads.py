"""Where uploads grow: apart from the receiver's spool, which the receiver empties when it starts."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

from core.study_store import StudyStore, make_durable_folder
from service.api.problems import ApiError

OLDEST_UPLOAD = timedelta(hours=6)
"""No request takes as long: a file of this age was left by a process that was killed. Younger ones may
belong to another process of the API."""


class Uploads:
    """Temporary files of requests under way, on the study store's file system.

    Parameters
    ----------
    minimum_free_bytes
        Nothing is taken when the disk has less than this left.
    """

    def __init__(self, store: StudyStore, minimum_free_bytes: int) -> None:
        self._store = store
        self._minimum_free_bytes = minimum_free_bytes
        self.folder = store.root / "spool" / "uploads"
        make_durable_folder(self.folder, store.root)

    def new_path(self) -> Path:
        """Return an unused path for a file in the making.

        Raises
        ------
        ApiError
            503: the disk is nearly full.
        """
        free_bytes = self._store.free_bytes()
        if free_bytes < self._minimum_free_bytes:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{free_bytes} bytes of disk left, {self._minimum_free_bytes} are kept free; try again later",
            )
        return self.folder / f"{uuid4().hex}.part"

    def sweep(self, now: datetime) -> int:
        """Remove what killed processes left; return how many files that were."""
        oldest = (now - OLDEST_UPLOAD).timestamp()
        leftovers = [path for path in self.folder.glob("*.part") if _modified_at(path) < oldest]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was faster
        return float("inf")

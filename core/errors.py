"""The exception tree: a class says what the caller should do, its message what was wrong."""

from __future__ import annotations

from enum import StrEnum


class MetserveError(Exception):
    """Base of every error metserve raises on purpose."""


class UnsuitableReason(StrEnum):
    """Why a study cannot be analysed, in words a PACS administrator can search for."""

    NO_MR_SERIES = "no_mr_series"
    NO_POST_CONTRAST = "no_post_contrast"
    WRONG_ANATOMY = "wrong_anatomy"
    IDENTICAL_SERIES = "identical_series"
    NO_ENHANCEMENT = "no_enhancement"
    IRREGULAR_GEOMETRY = "irregular_geometry"
    UNSUPPORTED_GEOMETRY = "unsupported_geometry"
    UNREADABLE_PIXELS = "unreadable_pixels"
    NO_BRAIN_FOUND = "no_brain_found"


class UnsuitableStudy(MetserveError):
    """The study cannot be analysed and never will be: do not retry, record the outcome.

    Parameters
    ----------
    reason
        Machine-readable reason.
    message
        A sentence that names what was found and what was expected.
    """

    def __init__(self, reason: UnsuitableReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[UnsuitableStudy], tuple[UnsuitableReason, str]]:
        """Pickle with both arguments (process pools carry exceptions between processes)."""
        return type(self), (self.reason, self.message)


class Transient(MetserveError):
    """Something outside failed and may come back (disk, database, network, memory): retry."""


class Defect(MetserveError):
    """Our own invariant was broken: stop, alert, release nothing."""


class InvalidInput(MetserveError):
    """A person or a file gave something that cannot be used: say what was wrong and what was expected."""


class Stopping(MetserveError):
    """The process was told to stop: give the work back; it does not count as an attempt."""


class LeaseLost(MetserveError):
    """Another worker holds the job now: drop the work, write nothing."""

"""Back-off: how long to wait after a failure, each time longer, and never all at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Jitter = Callable[[], float]
"""Returns a number from 0 to 1, a new one each time."""

JITTER_SHARE = 0.25
"""Largest part of a pause that chance takes away, so that many senders do not knock at once."""

MAX_DOUBLINGS = 30
"""Keeps the power of two finite; any pause is longer than ``longest_s`` long before."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double.

    Parameters
    ----------
    first_s, longest_s
        The first pause, and what no pause exceeds.
    """

    first_s: float
    longest_s: float
    jitter: Jitter

    def pause_s(self, attempt: int) -> float:
        """Return the pause after a failed attempt (1 for the first), in seconds."""
        doubled = self.first_s * 2.0 ** min(attempt - 1, MAX_DOUBLINGS)
        return min(doubled, self.longest_s) * (1 - JITTER_SHARE * self.jitter())

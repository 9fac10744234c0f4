"""How often somebody may ask, and how often somebody may be wrong."""

from __future__ import annotations

from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from core.logs import logger

WINDOW_S: Final = 60
"""After this long at most the count starts anew."""

TOLD_PER_MINUTE: Final = 10
"""Refusals of one address that go into the audit trail: a flood must not drown what else it holds."""


class RateLimits:
    """Counts requests and failures by the minute.

    Parameters
    ----------
    storage
        Redis where there is one, so that several API processes count together. Where it fails, each
        process counts for itself: nobody is turned away because Redis is down.
    """

    def __init__(self, storage: Storage, *, requests_per_minute: int, failures_per_minute: int) -> None:
        self._shared = FixedWindowRateLimiter(storage)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(requests_per_minute, namespace="metserve-requests")
        self._failures = RateLimitItemPerMinute(failures_per_minute, namespace="metserve-failures")
        self._told = RateLimitItemPerMinute(TOLD_PER_MINUTE, namespace="metserve-told")

    def may_ask(self, who: str) -> bool:
        """Count a request and tell whether it is within the limit."""
        return self._hit(self._requests, who)

    def failed(self, address: str) -> None:
        """Count a token or key that was not accepted."""
        self._hit(self._failures, address)

    def fails_too_often(self, address: str) -> bool:
        """Tell whether an address was wrong too often this minute."""
        try:
            return not self._shared.test(self._failures, address)
        except Exception as error:  # noqa: BLE001 - every storage raises classes of its own
            _warn(error)
            return not self._own.test(self._failures, address)

    def is_told(self, address: str) -> bool:
        """Count a refusal and tell whether it still goes into the audit trail."""
        return self._own.hit(self._told, address)

    def _hit(self, item: RateLimitItem, who: str) -> bool:
        try:
            return self._shared.hit(item, who)
        except Exception as error:  # noqa: BLE001 - every storage raises classes of its own
            _warn(error)
            return self._own.hit(item, who)


def _warn(error: Exception) -> None:
    logger().warning("requests are counted by this process alone", error=type(error).__name__)

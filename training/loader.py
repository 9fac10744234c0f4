"""Batches made ahead of the step that needs them, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from core.errors import InvalidInput
from training.patches import PatchBatch, PatchSampler
from training.pool import Listing

AHEAD = 2
"""Batches a thread has in the making while one is used: a pause of the disk does not stop the training."""


@dataclass(frozen=True, eq=False)
class Delivery:
    """A batch and the listing it was drawn from: what a checkpoint after it must remember."""

    step: int
    batch: PatchBatch
    listing: Listing


class BatchLoader:
    """Delivers the batches of one member, step after step; how many threads make them changes nothing.

    Parameters
    ----------
    sampler
        Of the member.
    first_step
        The first batch delivered.
    listing
        In force before it; None looks at the pool at once.
    look
        Looks at the pool; called in a thread, one call at a time.
    listing_steps
        The pool is looked at before every step this divides, and when a study turns out to be gone.
    threads
        That make batches.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        first_step: int,
        listing: Listing | None,
        look: Callable[[], Listing],
        listing_steps: int,
        threads: int = 1,
    ) -> None:
        self._sampler = sampler
        self._look = look
        self._listing_steps = listing_steps
        self._ahead = 1 + AHEAD * threads
        self._makers = ThreadPoolExecutor(threads, "batches")
        self._looker = ThreadPoolExecutor(1, "listings")
        self._listing = self._looker.submit(look if listing is None else lambda: listing)
        self._deliveries: deque[Future[Delivery]] = deque()
        self._delivered = self._ordered = first_step

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for threads in (self._looker, self._makers):
            threads.shutdown(cancel_futures=True)

    def next(self) -> Delivery:
        """Return the next batch; an error while it was made is raised here.

        A study that was taken out of the pool, or is just being replaced, costs one more look at the pool.
        """
        self._order()
        try:
            delivery = self._deliveries.popleft().result()
        except InvalidInput:
            self._start_again()
            delivery = self._deliveries.popleft().result()
        self._delivered += 1
        return delivery

    def _order(self) -> None:
        """Have batches made; the listing of each is settled here, in the order of the steps."""
        while len(self._deliveries) < self._ahead:
            if self._ordered % self._listing_steps == 0:
                self._listing = self._looker.submit(self._look)
            self._deliveries.append(self._makers.submit(self._make, self._ordered, self._listing))
            self._ordered += 1

    def _make(self, step: int, listing: Future[Listing]) -> Delivery:
        return Delivery(step, self._sampler.batch(step, listing.result()), listing.result())

    def _start_again(self) -> None:
        """Look at the pool and make everything anew that was not delivered."""
        for waiting in self._deliveries:
            waiting.cancel()
        self._deliveries.clear()
        self._ordered = self._delivered
        self._listing = self._looker.submit(self._look)
        self._order()

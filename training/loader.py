"""Batches made ahead of the step that needs them, in one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from training.patches import PatchBatch, PatchSampler
from training.pool import ListedStudy

AHEAD = 3
"""Batches in the making while one is used: a pause of the disk does not stop the training."""

Listing = tuple[ListedStudy, ...]


@dataclass(frozen=True, eq=False)
class Delivery:
    """A batch and the listing it was drawn from: what a checkpoint after it must remember."""

    step: int
    batch: PatchBatch
    listing: Listing


class BatchLoader:
    """Delivers the batches of one member, step after step.

    Parameters
    ----------
    sampler
        Of the member.
    first_step
        The first batch delivered.
    listing
        In force before it; None looks at the pool at once.
    look
        Looks at the pool.
    listing_steps
        The pool is looked at before every step this divides.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        first_step: int,
        listing: Listing | None,
        look: Callable[[], Listing],
        listing_steps: int,
    ) -> None:
        self._sampler = sampler
        self._listing = listing
        self._look = look
        self._listing_steps = listing_steps
        self._thread = ThreadPoolExecutor(1, "batches")
        self._deliveries: deque[Future[Delivery]] = deque()
        self._next = first_step
        for _ in range(AHEAD):
            self._order()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def next(self) -> Delivery:
        """Return the next batch; an error while it was made is raised here."""
        self._order()
        return self._deliveries.popleft().result()

    def _order(self) -> None:
        self._deliveries.append(self._thread.submit(self._deliver, self._next))
        self._next += 1

    def _deliver(self, step: int) -> Delivery:
        if self._listing is None or step % self._listing_steps == 0:
            self._listing = self._look()
        return Delivery(step, self._sampler.batch(step, self._listing), self._listing)

"""Rendered heads kept in memory: each is seen a few times, mirrored or not, then gives way to a new one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.brain.anatomy import PreparedHead
from training.brain.heads import HeadSettings, TrainingHead, render_head


class HeadPool:
    """A pool of training heads, refilled one by one in the order they came.

    Parameters
    ----------
    heads
        What is rendered, in turn at random.
    settings
        Of the rendering.
    size
        Heads kept.
    rng
        Source of all chance, kept by the caller.
    """

    def __init__(
        self, heads: Sequence[PreparedHead], settings: HeadSettings, size: int, rng: np.random.Generator
    ) -> None:
        self._heads = heads
        self._settings = settings
        self._size = size
        self._rng = rng
        self._pool: list[TrainingHead] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._pool)

    def renew(self) -> None:
        """Render one head; once the pool is full it replaces the oldest."""
        head = self._heads[int(self._rng.integers(len(self._heads)))]
        rendered = render_head(head, self._settings, self._rng)
        if len(self._pool) < self._size:
            self._pool.append(rendered)
            return
        self._pool[self._next] = rendered
        self._next = (self._next + 1) % self._size

    def draw(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return images and shares of brain (batch, 1, x, y, z), float32, each mirrored half the time.

        Raises
        ------
        ValueError
            The pool holds fewer heads than a batch: renew first.
        """
        if len(self._pool) < batch:
            raise ValueError(f"the pool holds {len(self._pool)} heads, expected at least {batch}")
        chosen = [self._pool[int(n)] for n in self._rng.choice(len(self._pool), batch, replace=False)]
        pairs = [_mirrored(head, bool(self._rng.integers(2))) for head in chosen]
        images, shares = zip(*pairs, strict=True)
        return torch.stack(images), torch.stack(shares)


def as_tensors(head: TrainingHead) -> tuple[Tensor, Tensor]:
    """Return image and share of brain (1, x, y, z), float32."""
    image = torch.from_numpy(head.image).float()[None]
    share = torch.from_numpy(head.brain).float()[None] / 255
    return image, share


def _mirrored(head: TrainingHead, mirror: bool) -> tuple[Tensor, Tensor]:
    """Swap left and right, the first of the axes, if asked to."""
    image, share = as_tensors(head)
    return (image.flip(1), share.flip(1)) if mirror else (image, share)

"""How the brain extraction is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from core.errors import InvalidInput
from training.brain.heads import HeadSettings
from training.brain.network import BrainNetworkSettings


@dataclass(frozen=True, slots=True)
class BrainTraining:
    """How the network is trained.

    Parameters
    ----------
    steps
        Of training in all, over every resumption. They, not the time spent, set the learning rate: a slow
        machine takes longer and ends with the same network.
    seed
        Of the weights and the heads.
    batch
        Heads a step.
    pool
        Heads kept.
    uses
        How often each head is seen, on average.
    learning_rate, final_share
        At its highest, and what is left of it at the end.
    warm_up_steps
        Until it is reached.
    averaging
        Decay a step of the averaged weights, which are the result.
    frozen_share
        Last part of the run with frozen batch statistics: the network learns to live with what it ships.
    gradient_norm
        Gradients are clipped to it.
    validation_heads
        Rendered from the validation anatomies.
    network, heads
        Settings of the network and of what it sees.
    """

    steps: int = 6000
    seed: int = 1
    batch: int = 2
    pool: int = 96
    uses: int = 4
    learning_rate: float = 2e-3
    final_share: float = 0.01
    warm_up_steps: int = 100
    averaging: float = 0.998
    frozen_share: float = 0.25
    gradient_norm: float = 5.0
    validation_heads: int = 12
    network: BrainNetworkSettings = field(default_factory=BrainNetworkSettings)
    heads: HeadSettings = field(default_factory=HeadSettings)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InvalidInput(f"{self.steps} steps of training, expected at least one")

    def learning_rate_at(self, step: int) -> float:
        """Return a rate that rises for some steps, then falls as a cosine over all of them."""
        warm = min(1.0, (step + 1) / self.warm_up_steps)
        cosine = (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2
        return self.learning_rate * warm * (self.final_share + (1 - self.final_share) * cosine)

    def statistics_are_frozen_at(self, step: int) -> bool:
        """Say whether batch normalisation uses its running statistics at a step."""
        return step > (1 - self.frozen_share) * self.steps

    def heads_due_at(self, step: int) -> int:
        """Return how many heads to render before a step, so that each is seen ``uses`` times on average."""
        return (step + 1) * self.batch // self.uses - step * self.batch // self.uses

    def heads_before(self, step: int) -> int:
        """Return how many heads to render before going on at a step: a new run fills its pool as it goes."""
        return self.pool if step else self.batch

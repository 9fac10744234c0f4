"""The loop of the brain extraction's training: render, step, and now and then validate and save."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.brain.anatomy import PreparedHead
from training.brain.checkpoint import BrainState, save_state
from training.brain.heads import TrainingHead, render_head
from training.brain.loss import brain_loss, dice
from training.brain.network import BrainNetwork
from training.brain.pool import HeadPool, as_tensors
from training.brain.settings import BrainTraining
from training.network import follow, set_training_mode

LOGGER = logging.getLogger(__name__)

CHECKPOINT_S = 120.0
"""Time between two checkpoints."""

VALIDATION_S = 600.0
"""Time between two validations."""

VALIDATION_SEED = 20261

Clock = Callable[[], float]
"""Seconds that only ever grow."""


def train(
    training: Sequence[PreparedHead],
    validation: Sequence[PreparedHead],
    settings: BrainTraining,
    run: Path,
    state: BrainState,
    clock: Clock,
    limit_s: float = math.inf,
) -> BrainState:
    """Train until all steps are made or the time of this call is spent.

    Parameters
    ----------
    training, validation
        Heads of different people.
    settings
        How.
    run
        Folder of the checkpoints.
    state
        New, or loaded; changed in place and returned.
    clock
        What time is measured with.
    limit_s
        Of this call, filling the pool included.
    """
    watch = _Watch(state.spent_s, limit_s, clock)
    held_out = render_validation(validation, settings)
    for loss in _make_steps(training, settings, state, watch):
        watch.note(loss)
        state.spent_s = watch.spent_s()
        if watch.due_to_validate():
            _report(state, held_out, watch)
        if watch.due_to_save():
            save_state(state, run)
    _report(state, held_out, watch)
    save_state(state, run)
    return state


def fill_pool(training: Sequence[PreparedHead], settings: BrainTraining, step: int) -> HeadPool:
    """Render what the next step draws from: with less variety a resumed run would learn a few heads."""
    pool = HeadPool(training, settings.heads, settings.pool, np.random.default_rng([settings.seed, step]))
    for _ in range(settings.heads_before(step)):
        pool.renew()
    return pool


def render_validation(
    validation: Sequence[PreparedHead], settings: BrainTraining
) -> tuple[TrainingHead, ...]:
    """Render the held-out heads: always the same."""
    rng = np.random.default_rng(VALIDATION_SEED)
    return tuple(
        render_head(validation[n % len(validation)], settings.heads, rng)
        for n in range(settings.validation_heads)
    )


@torch.no_grad()
def validate(network: BrainNetwork, heads: Sequence[TrainingHead]) -> list[float]:
    """Return the Dice coefficient of every head at the network's resolution."""
    network.eval()
    scores = []
    for head in heads:
        image, share = as_tensors(head)
        scores.append(dice(torch.sigmoid(_forward(network, image[None])), share[None]))
    return scores


class _Watch:
    """What is due when by the clock, and the losses since the last report."""

    def __init__(self, spent_s: float, limit_s: float, clock: Clock) -> None:
        self._clock = clock
        now_s = clock()
        self._begin_s = now_s - spent_s
        self._end_s = now_s + limit_s
        self._validated_s = self._saved_s = now_s
        self._losses: list[float] = []

    def spent_s(self) -> float:
        return self._clock() - self._begin_s

    def is_over(self) -> bool:
        return self._clock() >= self._end_s

    def note(self, loss: float) -> None:
        self._losses.append(loss)

    def mean_loss(self) -> float:
        """Return the mean since it was last asked for."""
        mean = float(np.mean(self._losses)) if self._losses else math.nan
        self._losses = []
        return mean

    def due_to_validate(self) -> bool:
        due = self._clock() - self._validated_s > VALIDATION_S
        self._validated_s = self._clock() if due else self._validated_s
        return due

    def due_to_save(self) -> bool:
        due = self._clock() - self._saved_s > CHECKPOINT_S
        self._saved_s = self._clock() if due else self._saved_s
        return due


def _make_steps(
    training: Sequence[PreparedHead], settings: BrainTraining, state: BrainState, watch: _Watch
) -> Iterator[float]:
    """Make the steps there is time for; yield the loss of each."""
    if state.step >= settings.steps:
        return
    pool = fill_pool(training, settings, state.step)
    while state.step < settings.steps and not watch.is_over():
        for _ in range(settings.heads_due_at(state.step)):
            pool.renew()
        yield _step(state, pool.draw(settings.batch), settings)


def _step(state: BrainState, batch: tuple[Tensor, Tensor], settings: BrainTraining) -> float:
    set_training_mode(state.network, frozen_statistics=settings.statistics_are_frozen_at(state.step))
    for group in state.optimizer.param_groups:
        group["lr"] = settings.learning_rate_at(state.step)
    images, shares = batch
    loss = brain_loss(_forward(state.network, images), shares)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.gradient_norm)
    state.optimizer.step()
    state.step += 1
    follow(state.averaged, state.network, settings.averaging, state.step)
    return float(loss.detach())


def _forward(network: BrainNetwork, images: Tensor) -> Tensor:
    """Run in bfloat16 where that is fast; return float32 logits."""
    images = images.contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(images.device.type, torch.bfloat16):
        logits: Tensor = network(images)
    return logits.float()


def _report(state: BrainState, held_out: Sequence[TrainingHead], watch: _Watch) -> None:
    scores = validate(state.averaged, held_out)
    LOGGER.info(
        "step %d, %.0f s: loss %.4f, held-out Dice median %.4f, worst %.4f",
        state.step, state.spent_s, watch.mean_loss(), np.median(scores), min(scores),
    )  # fmt: skip

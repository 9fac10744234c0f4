"""Train the brain extraction: ``python -m training.train_brain --anatomy DIR --out RUN --minutes M``.

A killed run goes on with ``--resume``: at most ``CHECKPOINT_S`` of work is lost.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phantom.synthesis.anatomy.files import load_anatomies
from training.brain_anatomy import PreparedHead, prepare_head
from training.brain_checkpoint import BrainState, load_state, new_state, save_state
from training.brain_heads import HeadSettings, TrainingHead, render_head
from training.brain_loss import brain_loss, dice
from training.brain_network import BrainNetwork, BrainNetworkSettings, freeze_statistics
from training.brain_pool import HeadPool, as_tensors

LOGGER = logging.getLogger(__name__)

TRAINING_NAMES = tuple(f"training_seg_{number:02d}" for number in range(1, 12))
VALIDATION_NAMES = ("training_seg_12", "training_seg_13")
"""14 to 20 are the test set of the project: nothing is trained or chosen on them."""

CHECKPOINT_NAME = "brain.pt"
CHECKPOINT_S = 120.0
"""Time between two checkpoints."""

VALIDATION_S = 600.0
"""Time between two validations."""

VALIDATION_SEED = 20261


@dataclass(frozen=True, slots=True)
class BrainTraining:
    """How the network is trained.

    Parameters
    ----------
    minutes
        Of training in all, over every resumption.
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

    minutes: float = 60.0
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


Clock = Callable[[], float]
"""Seconds that only ever grow."""


def train(
    training: Sequence[PreparedHead],
    validation: Sequence[PreparedHead],
    settings: BrainTraining,
    checkpoint: Path,
    state: BrainState,
    clock: Clock = time.monotonic,
) -> BrainState:
    """Train until the minutes are spent: render, step, and now and then validate and save.

    Parameters
    ----------
    training, validation
        Heads of different people.
    settings
        How.
    checkpoint
        File the state is kept in.
    state
        New, or loaded; changed in place and returned.
    clock
        What the minutes are measured with.
    """
    rng = np.random.default_rng([settings.seed, state.step])
    pool = HeadPool(training, settings.heads, settings.pool, rng)
    for _ in range(settings.batch):
        pool.renew()
    held_out = render_validation(validation, settings)
    schedule = _Schedule(settings, state.spent_s, clock)
    while schedule.share() < 1:
        _renew(pool, settings, state.step)
        loss = _step(state, pool.draw(settings.batch), settings, schedule.share())
        state.spent_s = schedule.spent_s()
        schedule.note(loss)
        if schedule.due_to_validate():
            _report(state, held_out, schedule)
        if schedule.due_to_save():
            save_state(state, checkpoint)
    _report(state, held_out, schedule)
    save_state(state, checkpoint)
    return state


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


class _Schedule:
    """What is due when: rates by the share of the minutes spent, reports and checkpoints by the clock."""

    def __init__(self, settings: BrainTraining, spent_s: float, clock: Clock) -> None:
        self._total_s = settings.minutes * 60
        self._clock = clock
        self._begin_s = clock() - spent_s
        self._validated_s = self._saved_s = clock()
        self._losses: list[float] = []

    def spent_s(self) -> float:
        return self._clock() - self._begin_s

    def share(self) -> float:
        return self.spent_s() / self._total_s

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


def _renew(pool: HeadPool, settings: BrainTraining, step: int) -> None:
    """Render as many heads as keep the mean number of uses: a batch every ``uses`` steps, one at a time."""
    due = (step + 1) * settings.batch // settings.uses - step * settings.batch // settings.uses
    for _ in range(due):
        pool.renew()


def _step(state: BrainState, batch: tuple[Tensor, Tensor], settings: BrainTraining, share: float) -> float:
    state.network.train()
    if share > 1 - settings.frozen_share:
        freeze_statistics(state.network)
    for group in state.optimizer.param_groups:
        group["lr"] = _learning_rate(settings, state.step, share)
    images, shares = batch
    loss = brain_loss(_forward(state.network, images), shares)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.gradient_norm)
    state.optimizer.step()
    state.step += 1
    _average(state, settings.averaging)
    return float(loss.detach())


def _learning_rate(settings: BrainTraining, step: int, share: float) -> float:
    """Return a rate that rises for some steps, then falls as a cosine over the minutes."""
    warm = min(1.0, (step + 1) / settings.warm_up_steps)
    cosine = (1 + math.cos(math.pi * min(share, 1.0))) / 2
    return settings.learning_rate * warm * (settings.final_share + (1 - settings.final_share) * cosine)


@torch.no_grad()
def _average(state: BrainState, decay: float) -> None:
    """Move the averaged network towards the trained one; at first faster, to forget its beginning."""
    decay = min(decay, (1 + state.step) / (10 + state.step))
    averaged = state.averaged.state_dict()
    for name, value in state.network.state_dict().items():
        if value.is_floating_point():
            averaged[name].lerp_(value, 1 - decay)


def _forward(network: BrainNetwork, images: Tensor) -> Tensor:
    """Run in bfloat16 where that is fast; return float32 logits."""
    images = images.contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(images.device.type, torch.bfloat16):
        logits: Tensor = network(images)
    return logits.float()


def _report(state: BrainState, held_out: Sequence[TrainingHead], schedule: _Schedule) -> None:
    scores = validate(state.averaged, held_out)
    LOGGER.info(
        "step %d, %.0f s: loss %.4f, held-out Dice median %.4f, worst %.4f",
        state.step, state.spent_s, schedule.mean_loss(), np.median(scores), min(scores),
    )  # fmt: skip


def _prepare(folder: Path, names: Sequence[str]) -> tuple[PreparedHead, ...]:
    return tuple(prepare_head(anatomy) for anatomy in load_anatomies(folder, names))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomy", type=Path, required=True, help="folder of label maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--minutes", type=float, default=BrainTraining().minutes, help="in all")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    settings = BrainTraining(minutes=options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / CHECKPOINT_NAME
    state = load_state(checkpoint) if options.resume else new_state(settings.network, settings.seed)
    training, validation = (
        _prepare(options.anatomy, TRAINING_NAMES),
        _prepare(options.anatomy, VALIDATION_NAMES),
    )
    LOGGER.info("%d heads to train on, %d held out", len(training), len(validation))
    train(training, validation, settings, checkpoint, state)


if __name__ == "__main__":
    main()

"""All members of a run, in turns: each a slice of time, so that all of them advance together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.checkpoint import Checkpoint, newest_step, read_checkpoint, write_checkpoint
from training.learner import Learner
from training.loader import BatchLoader, Delivery, Listing
from training.losses import make_loss
from training.origin import Origin, first_network
from training.patches import PatchSampler
from training.pool import list_pool, listing_from_json, listing_to_json
from training.settings import MemberSpec, TrainingSettings

Record = dict[str, Any]
"""One line of log.jsonl."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When to stop, change over, save and tell.

    Parameters
    ----------
    limit_s
        Of this call; None trains until every member has seen its patches.
    slice_s
        A member's turn.
    checkpoint_s
        Between two checkpoints: what a crash costs.
    log_steps
        Between two lines of the log.
    """

    limit_s: float | None = None
    slice_s: float = 540.0
    checkpoint_s: float = 180.0
    log_steps: int = 50


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the trainer gets from outside.

    Parameters
    ----------
    clock
        Seconds that pass, from any start.
    stopping
        Whether the process was told to stop.
    log
        Takes the records.
    """

    clock: Callable[[], float]
    stopping: Callable[[], bool]
    log: Callable[[Record], None]


@dataclass
class _Progress:
    """Of one member: the only state of a slice that is not in the learner."""

    step: int
    seconds: float
    listing: Listing | None
    losses: list[float] = field(default_factory=list)
    skipped: int = 0


class Trainer:
    """Trains the members of a run.

    Parameters
    ----------
    run, pool
        Folders: of checkpoints, a member each; of prepared studies.
    settings
        Of the run.
    learner
        Trains one member at a time.
    origin
        Of members without a checkpoint.
    timing, surroundings
        When and with what.
    """

    def __init__(
        self,
        run: Path,
        pool: Path,
        settings: TrainingSettings,
        learner: Learner,
        origin: Origin,
        timing: Timing,
        surroundings: Surroundings,
    ) -> None:
        self._run = run
        self._pool = pool
        self._settings = settings
        self._learner = learner
        self._origin = origin
        self._timing = timing
        self._outside = surroundings
        self._begun_s = surroundings.clock()

    def train(self, members: Sequence[MemberSpec]) -> bool:
        """Train in turns until every member is done, time is up or the process was told to stop.

        Returns
        -------
        bool
            Whether every member has seen its patches.
        """
        while pending := self._pending(members):
            for spec in pending:
                if self._is_over():
                    return False
                self._take_turn(spec)
        return True

    def _pending(self, members: Sequence[MemberSpec]) -> list[MemberSpec]:
        return [spec for spec in members if newest_step(self._run / spec.name) < self._settings.steps]

    def _is_over(self) -> bool:
        limit = self._timing.limit_s
        return self._outside.stopping() or (
            limit is not None and self._outside.clock() - self._begun_s >= limit
        )

    def _take_turn(self, spec: MemberSpec) -> None:
        """Train one member for a slice; it ends with a checkpoint."""
        sampler = PatchSampler(self._pool, spec, self._settings)
        progress = self._resume(spec, sampler)
        with self._open_loader(sampler, progress) as loader:
            self._step(spec, progress, loader)
        self._save(spec, progress)

    def _step(self, spec: MemberSpec, progress: _Progress, loader: BatchLoader) -> None:
        """Take steps until the slice, the time or the patches are used up."""
        loss = make_loss(spec.loss, self._settings.losses)
        begun = saved = now = self._outside.clock()
        spent_before = progress.seconds
        while (
            progress.step < self._settings.steps
            and now - begun < self._timing.slice_s
            and not self._is_over()
        ):
            delivery = loader.next()
            self._note(progress, delivery, self._learner.learn(delivery.batch, delivery.step, loss))
            now = self._outside.clock()
            progress.seconds = spent_before + now - begun
            if progress.step % self._timing.log_steps == 0:
                self._tell(spec, progress)
            if now - saved >= self._timing.checkpoint_s:
                self._save(spec, progress)
                saved = now

    def _resume(self, spec: MemberSpec, sampler: PatchSampler) -> _Progress:
        checkpoint = read_checkpoint(self._run / spec.name)
        if checkpoint is None:
            self._learner.begin(
                first_network(spec, self._origin, self._settings, self._calibration_batches(sampler))
            )
            return _Progress(0, 0.0, None)
        self._learner.restore(checkpoint.arrays)
        listing = listing_from_json(checkpoint.facts["listing"])
        return _Progress(checkpoint.step, checkpoint.facts["seconds"], listing or None)

    def _calibration_batches(self, sampler: PatchSampler) -> Iterator[Tensor]:
        """Yield batches of steps that are never taken."""
        listing = list_pool(self._pool)
        for number in range(self._settings.calibration_batches):
            yield torch.from_numpy(sampler.batch(self._settings.steps + number, listing).images)

    def _open_loader(self, sampler: PatchSampler, progress: _Progress) -> BatchLoader:
        look, every = (lambda: list_pool(self._pool)), self._settings.listing_steps
        return BatchLoader(sampler, progress.step, progress.listing, look, every)

    @staticmethod
    def _note(progress: _Progress, delivery: Delivery, loss: float | None) -> None:
        progress.step = delivery.step + 1
        progress.listing = delivery.listing
        if loss is None:
            progress.skipped += 1
        else:
            progress.losses.append(loss)

    def _tell(self, spec: MemberSpec, progress: _Progress) -> None:
        losses = progress.losses
        self._outside.log(
            {
                "member": spec.name,
                "step": progress.step,
                "patches": progress.step * self._settings.batch,
                "loss": sum(losses) / len(losses) if losses else None,
                "learning_rate": self._settings.learning_rate_at(progress.step - 1),
                "seconds": round(progress.seconds, 1),
                "studies": len(progress.listing or ()),
                "skipped": progress.skipped,
            }
        )
        losses.clear()

    def _save(self, spec: MemberSpec, progress: _Progress) -> None:
        if progress.losses:
            self._tell(spec, progress)
        facts = {"listing": listing_to_json(progress.listing or ()), "seconds": progress.seconds}
        write_checkpoint(self._run / spec.name, Checkpoint(progress.step, self._learner.arrays(), facts))

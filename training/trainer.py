"""All members of a run, in turns: each a slice of time, so that all of them advance together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from training.checkpoint import Checkpoint, newest_step, read_checkpoint, write_checkpoint
from training.learner import Learner
from training.loader import BatchLoader, Delivery
from training.losses import make_loss
from training.origin import Origin, first_network
from training.patches import PatchSampler
from training.pool import Listing, find_missing, list_pool, listing_from_json, listing_to_json
from training.run_folder import Record
from training.settings import MemberSpec, TrainingSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """A member and what it is trained with."""

    spec: MemberSpec
    settings: TrainingSettings


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
    learner
        Trains one member at a time.
    origin
        Of members without a checkpoint.
    timing, surroundings
        When and with what.
    loader_threads
        That make batches; how many changes nothing else.
    """

    def __init__(
        self,
        run: Path,
        pool: Path,
        learner: Learner,
        origin: Origin,
        timing: Timing,
        surroundings: Surroundings,
        loader_threads: int = 1,
    ) -> None:
        self._run = run
        self._pool = pool
        self._learner = learner
        self._origin = origin
        self._timing = timing
        self._outside = surroundings
        self._loader_threads = loader_threads
        self._begun_s = surroundings.clock()

    def train(self, plans: Sequence[Plan]) -> bool:
        """Train in turns until every member is done, time is up or the process was told to stop.

        The next turn is always that of the member that has seen the fewest patches: they advance together
        also over many short calls.

        Returns
        -------
        bool
            Whether every member has seen its patches.
        """
        steps = {plan.spec.name: newest_step(self._run / plan.spec.name) for plan in plans}
        while pending := [plan for plan in plans if steps[plan.spec.name] < plan.settings.steps]:
            if self._is_over():
                return False
            plan = min(pending, key=lambda one: steps[one.spec.name] * one.settings.batch)
            steps[plan.spec.name] = self._take_turn(plan)
        return True

    def _is_over(self) -> bool:
        limit = self._timing.limit_s
        return self._outside.stopping() or (
            limit is not None and self._outside.clock() - self._begun_s >= limit
        )

    def _take_turn(self, plan: Plan) -> int:
        """Train one member for a slice; it ends with a checkpoint, whose step is returned."""
        sampler = PatchSampler(self._pool, plan.spec, plan.settings)
        self._learner.change_over(plan.settings)
        progress = self._resume(plan, sampler)
        with self._open_loader(plan, sampler, progress) as loader:
            self._step(plan, progress, loader)
        self._save(plan, progress)
        return progress.step

    def _step(self, plan: Plan, progress: _Progress, loader: BatchLoader) -> None:
        """Take steps until the slice, the time or the patches are used up."""
        loss = make_loss(plan.spec.loss, plan.settings.losses)
        begun = saved = now = self._outside.clock()
        spent_before = progress.seconds
        while (
            progress.step < plan.settings.steps and now - begun < self._timing.slice_s and not self._is_over()
        ):
            delivery = loader.next()
            self._note(progress, delivery, self._learner.learn(delivery.batch, delivery.step, loss))
            now = self._outside.clock()
            progress.seconds = spent_before + now - begun
            if progress.step % self._timing.log_steps == 0:
                self._tell(plan, progress)
            if now - saved >= self._timing.checkpoint_s:
                self._save(plan, progress)
                saved = now

    def _resume(self, plan: Plan, sampler: PatchSampler) -> _Progress:
        checkpoint = read_checkpoint(self._run / plan.spec.name)
        if checkpoint is None:
            batches = self._calibration_batches(plan, sampler)
            self._learner.begin(first_network(plan.spec, self._origin, plan.settings, batches))
            return _Progress(0, 0.0, None)
        self._learner.restore(checkpoint.arrays)
        listing = listing_from_json(checkpoint.facts["listing"])
        return _Progress(checkpoint.step, checkpoint.facts["seconds"], self._confirm(plan, listing))

    def _confirm(self, plan: Plan, listing: Listing) -> Listing | None:
        """Return a listing that still holds; None where the pool is to be looked at anew."""
        gone = find_missing(self._pool, listing)
        if gone:
            self._outside.log({"event": "studies gone", "members": [plan.spec.name], "studies": gone})
        return None if gone else listing or None

    def _calibration_batches(self, plan: Plan, sampler: PatchSampler) -> Iterator[Tensor]:
        """Yield batches of steps that are never taken."""
        listing = list_pool(self._pool)
        for number in range(plan.settings.calibration_batches):
            yield torch.from_numpy(sampler.batch(plan.settings.steps + number, listing).images)

    def _open_loader(self, plan: Plan, sampler: PatchSampler, progress: _Progress) -> BatchLoader:
        look, every = (lambda: list_pool(self._pool)), plan.settings.listing_steps
        return BatchLoader(sampler, progress.step, progress.listing, look, every, self._loader_threads)

    @staticmethod
    def _note(progress: _Progress, delivery: Delivery, loss: float | None) -> None:
        progress.step = delivery.step + 1
        progress.listing = delivery.listing
        if loss is None:
            progress.skipped += 1
        else:
            progress.losses.append(loss)

    def _tell(self, plan: Plan, progress: _Progress) -> None:
        losses = progress.losses
        self._outside.log(
            {
                "member": plan.spec.name,
                "step": progress.step,
                "patches": progress.step * plan.settings.batch,
                "loss": sum(losses) / len(losses) if losses else None,
                "learning_rate": plan.settings.learning_rate_at(progress.step - 1),
                "seconds": round(progress.seconds, 1),
                "studies": len(progress.listing or ()),
                "skipped": progress.skipped,
            }
        )
        losses.clear()

    def _save(self, plan: Plan, progress: _Progress) -> None:
        if progress.losses:
            self._tell(plan, progress)
        facts = {"listing": listing_to_json(progress.listing or ()), "seconds": progress.seconds}
        write_checkpoint(self._run / plan.spec.name, Checkpoint(progress.step, self._learner.arrays(), facts))

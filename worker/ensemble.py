"""PreparedVolumes -> LesionProbability: every member over every window, averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import Defect
from core.geometry import Grid
from core.lesion import ModelIdentity
from core.study import AnalysisMode
from worker.axes import Scalar, from_axes, to_axes
from worker.boxes import crop, paste
from worker.model_set import InputKind, InputSpec, Member, ModelSet, OperatingPoint, Profile
from worker.preprocessing import PreparedVolumes
from worker.sessions import Engine, Network
from worker.windows import WindowPlan, plan_windows

Progress = Callable[[float], None]
"""Called with the share done, 0..1."""


@dataclass(frozen=True, eq=False)
class LesionProbability:
    """The ensemble's output on the analysis grid; zero outside the brain mask.

    Parameters
    ----------
    grid
        Canonical, 1 mm.
    mean_kji
        float32, mean of the members; a network output, not a calibrated probability.
    member_names, members_kji
        The members that took part, and the output of each (float16).
    brain_mask_kji
        Where lesions are looked for.
    mode
        Decides the operating point.
    """

    grid: Grid
    mean_kji: NDArray[np.float32]
    member_names: tuple[str, ...]
    members_kji: tuple[NDArray[np.float16], ...]
    brain_mask_kji: NDArray[np.bool_]
    mode: AnalysisMode


class Ensemble:
    """The members of one profile, loaded."""

    def __init__(
        self, model_set: ModelSet, profile: Profile, networks: Sequence[tuple[Member, Network]], batch: int
    ) -> None:
        self._model_set = model_set
        self._profile = profile
        self._networks = tuple(networks)
        self._batch = batch

    @classmethod
    def load(
        cls, model_set: ModelSet, profile_name: str, engine: Engine, batch: int | None = None
    ) -> Ensemble:
        """Create a session for every member of a profile; call it in the process that will use it.

        Parameters
        ----------
        model_set
            Verified at start.
        profile_name
            A profile of the model set.
        engine
            From ``choose_engine``.
        batch
            Windows at once; None takes the engine's own. The output does not depend on it.
        """
        profile = model_set.select_profile(profile_name)
        batch = batch or engine.windows_per_batch
        networks = [(m, Network(model_set.folder / m.file, engine, batch)) for m in profile.members]
        return cls(model_set, profile, networks, batch)

    @property
    def input_spec(self) -> InputSpec:
        """What the members expect."""
        return self._model_set.manifest.input

    @property
    def identity(self) -> ModelIdentity:
        """What results say about their models."""
        return self._model_set.identity(self._profile.name)

    def operating_point(self, mode: AnalysisMode) -> OperatingPoint:
        """Return the threshold for the members that take part in a mode."""
        return self._model_set.operating_point(mode)

    def predict(self, prepared: PreparedVolumes, on_progress: Progress | None = None) -> LesionProbability:
        """Run the members over the brain.

        Parameters
        ----------
        prepared
            Without a subtraction only the T1-post members take part.
        on_progress
            Called after every batch of windows.
        """
        axes = self.input_spec.axes
        mask = to_axes(prepared.brain_mask_kji, axes)
        plan = plan_windows(mask, self._profile.patch_voxels, self._profile.stride_voxels)
        inputs = _crop_inputs(prepared, plan, axes)
        taking_part = [(member, network) for member, network in self._networks if member.input in inputs]
        if not taking_part:
            raise Defect(f"profile {self._profile.name} has no member for mode {prepared.mode}")
        progress = _Counter(len(taking_part) * len(plan.windows), on_progress)
        covered_mask = crop(mask, plan.box)
        outputs = [
            _run_member(network, inputs[member.input], covered_mask, plan, self._batch, progress)
            for member, network in taking_part
        ]
        return _assemble(prepared, [m.name for m, _ in taking_part], outputs, plan, axes)


class _Counter:
    """Turns finished windows into a share."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def advance(self, windows: int) -> None:
        self._done += windows
        if self._on_progress is not None:
            self._on_progress(self._done / self._total)


def _crop_inputs(
    prepared: PreparedVolumes, plan: WindowPlan, axes: Sequence[str]
) -> dict[InputKind, NDArray[np.float32]]:
    volumes: dict[InputKind, NDArray[np.float32] | None] = {
        "t1_post": prepared.t1_post_kji,
        "subtraction": prepared.subtraction_kji,
    }
    return {
        kind: crop(to_axes(volume, axes), plan.box) for kind, volume in volumes.items() if volume is not None
    }


def _run_member(
    network: Network,
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    plan: WindowPlan,
    batch: int,
    progress: _Counter,
) -> NDArray[np.float32]:
    """Average one member's overlapping windows over the covered part, zero outside the mask."""
    total = np.zeros_like(image)
    count = np.zeros_like(image)
    patch = image[plan.windows[0]].shape
    # Every batch has the full size: the sessions are made for one shape.
    images = np.zeros((batch, 1, *patch), dtype=np.float32)
    for first in range(0, len(plan.windows), batch):
        windows = plan.windows[first : first + batch]
        for n, window in enumerate(windows):
            images[n, 0] = image[window]
        for window, output in zip(windows, network.run(images), strict=False):
            total[window] += output[0]
            count[window] += 1
        progress.advance(len(windows))
    return np.divide(total, count, out=np.zeros_like(total), where=mask & (count > 0))


def _assemble(
    prepared: PreparedVolumes,
    names: Sequence[str],
    outputs: Sequence[NDArray[np.float32]],
    plan: WindowPlan,
    axes: Sequence[str],
) -> LesionProbability:
    shape = to_axes(prepared.brain_mask_kji, axes).shape

    def to_grid(covered: NDArray[Scalar]) -> NDArray[Scalar]:
        return np.ascontiguousarray(from_axes(paste(covered, plan.box, shape), axes))

    mean = np.asarray(np.mean(outputs, axis=0, dtype=np.float32), dtype=np.float32)
    return LesionProbability(
        grid=prepared.grid,
        mean_kji=to_grid(mean),
        member_names=tuple(names),
        members_kji=tuple(to_grid(output.astype(np.float16)) for output in outputs),
        brain_mask_kji=prepared.brain_mask_kji,
        mode=prepared.mode,
    )

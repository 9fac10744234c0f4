"""Every knob of training, with its unit and where its value comes from."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_type_hints

from core.errors import InvalidInput

InputKind = Literal["t1_post", "subtraction"]
LossName = Literal["cross_entropy", "balanced_cross_entropy", "soft_dice", "focal", "trunk"]

INPUTS: tuple[InputKind, ...] = ("t1_post", "subtraction")
MEMBER_LOSSES: tuple[LossName, ...] = ("cross_entropy", "balanced_cross_entropy", "soft_dice", "focal")

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One network to train: what it sees and what it is told."""

    input: InputKind
    loss: LossName

    @property
    def name(self) -> str:
        """As in ensemble.toml; a trunk is ``trunk-<input>``."""
        return f"trunk-{self.input}" if self.loss == "trunk" else f"{self.input}-{self.loss}"

    @property
    def trunk(self) -> MemberSpec:
        """What the members of an input may start from."""
        return MemberSpec(self.input, "trunk")


MEMBERS = tuple(MemberSpec(kind, loss) for kind in INPUTS for loss in MEMBER_LOSSES)
"""The eight of the ensemble."""

TRUNKS = tuple(MemberSpec(kind, "trunk") for kind in INPUTS)
"""Trained first, to initialise the four members of their input."""


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What the four losses leave open.

    Parameters
    ----------
    balance_limit
        Largest weight of a lesion voxel against a background voxel in balanced cross-entropy. Half of all
        batches have frequencies beyond 1:200; without a limit the outline swells. Chosen, of 50 to 100.
    dice_smoothing
        Voxels added to numerator and denominator: a batch without lesion has a gradient. Chosen.
    focal_alpha, focal_gamma
        Lin 2017.
    small_lesion_volume_mm3, small_lesion_weight_limit
        A lesion of volume V weighs (V0 / V)^0.5 a voxel, at least 1 and at most the limit (after the
        volume-aware loss, Chartrand 2022). V0 is the volume of a 6 mm sphere: below it sensitivity falls.
    hidden_lesion_weight
        Of a voxel in a lesion nobody can see in the member's input (``least_conspicuity``). Chosen: with 0
        a member is neither asked for it nor told that nothing is there.
    """

    balance_limit: float = 50.0
    dice_smoothing: float = 1.0
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    small_lesion_volume_mm3: float = 113.0
    small_lesion_weight_limit: float = 5.0
    hidden_lesion_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Which patches a batch holds.

    Parameters
    ----------
    lesion_share
        Of patches centred near a lesion. The paper sampled patches with and without lesion equally.
    mined_share, structure_share
        Of the other patches: centred at a false positive of an earlier network, where one is known; at a
        structure that enhances without being a lesion. The rest lies anywhere in the brain.
    small_lesion_exponent
        A lesion is chosen with p ~ volume^-exponent among those of its study: with 1/3, one of half the
        diameter twice as often. Chosen, after volume-aware sampling (Chartrand 2022).
    missed_factor
        How much more often than otherwise a lesion is chosen that an earlier network missed (at least 1).
        Chosen.
    imported_share
        Of the patches, from studies of patients where the pool holds synthetic ones too. Chosen: few patients
        must not drown among many synthetic studies.
    lesion_margin_voxels
        Least distance of the lesion's centre from the patch's border.
    structure_offset_voxels
        Largest offset along an axis of a negative patch from the structure it was drawn for.
    outside_voxels
        A patch reaches at most this far beyond the study's box, where everything is 0.
    attempts
        Draws of a negative patch until it holds no lesion; the last one is taken as it is.
    """

    lesion_share: float = 0.5
    mined_share: float = 0.2
    structure_share: float = 0.5
    small_lesion_exponent: float = 1 / 3
    missed_factor: float = 3.0
    imported_share: float = 0.5
    lesion_margin_voxels: int = 4
    structure_offset_voxels: int = 8
    outside_voxels: int = 8
    attempts: int = 12


@dataclass(frozen=True, slots=True)
class AugmentationSettings:
    """What changes about a patch; the synthesis has varied everything else already.

    Parameters
    ----------
    flip_right, flip_anterior, flip_superior
        Probabilities of mirroring an axis: heads are nearly symmetric between left and right alone.
    gain_sigma, gamma_sigma
        Of the logarithms of a factor and of an exponent of the absolute value. Chosen: what a brain mask of
        another size does to a z-score.
    noise_sigma
        Largest standard deviation of added noise, in standard deviations of the brain.
    """

    flip_right: float = 0.5
    flip_anterior: float = 0.15
    flip_superior: float = 0.15
    gain_sigma: float = 0.1
    gamma_sigma: float = 0.07
    noise_sigma: float = 0.1


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Of one member. What is not here (device, threads, minutes) does not change what is learnt.

    Parameters
    ----------
    widths
        Channels a level, finest first; the released members' are the default.
    patch_voxels
        Edge of a training patch; a multiple of 2^(levels - 1). Inference uses 96.
    batch
        Patches a step.
    patches
        A member sees in all; the schedule ends there.
    learning_rate
        Of Adam, after the warm-up. 1e-3 from scratch, about 3e-4 to continue.
    warm_up_patches
        The rate rises over these, linearly.
    decay_share
        The last share of the patches, over which the rate falls as half a cosine to ``final_rate_share``.
        Constant before: the total may be changed in mid-run without another rate in what was done.
    final_rate_share
        Of ``learning_rate``, at the end.
    average_decay
        Of the running average of the weights, a step; what is exported. Shorter in the first steps.
    gradient_norm_limit
        A gradient longer than this is shortened to it. Chosen: beyond all but the outliers.
    skips_limit
        So many batches in a row without a finite gradient stop the training: something is broken.
    statistics_momentum
        Of batch normalisation. Chosen: batches are small.
    frozen_statistics_share
        The last share of the patches, in which batch normalisation works as it will in the service.
    calibration_batches
        From which the statistics of a network without batch normalisation (ONNX) are taken.
    listing_steps
        Steps between two looks for new studies in the pool.
    seed
        Of everything random.
    least_conspicuity
        Contrast to noise, in the member's own input, below which nobody sees a lesion. Chosen: it then
        differs from what is around it by less than one standard deviation.
    losses, sampling, augmentation
        Their own knobs.
    """

    widths: tuple[int, ...] = (8, 24, 48, 96, 192)
    patch_voxels: int = 64
    batch: int = 4
    patches: int = 40_000
    learning_rate: float = 1e-3
    warm_up_patches: int = 400
    decay_share: float = 0.4
    final_rate_share: float = 0.01
    average_decay: float = 0.998
    gradient_norm_limit: float = 5.0
    skips_limit: int = 20
    statistics_momentum: float = 0.05
    frozen_statistics_share: float = 0.1
    calibration_batches: int = 8
    listing_steps: int = 100
    seed: int = 0
    least_conspicuity: float = 1.0
    losses: LossSettings = field(default_factory=LossSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)

    def __post_init__(self) -> None:
        multiple = 2 ** (len(self.widths) - 1)
        if self.patch_voxels <= 0 or self.patch_voxels % multiple:
            raise InvalidInput(f"patches of {self.patch_voxels} voxels, expected a multiple of {multiple}")
        if self.batch < 1 or self.patches < self.batch:
            raise InvalidInput(
                f"{self.patches} patches in batches of {self.batch}, expected at least one batch"
            )

    @property
    def steps(self) -> int:
        """Steps a member takes."""
        return self.patches // self.batch

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step: warm-up, constant, half a cosine."""
        seen = step * self.batch
        warm_up = min(1.0, (seen + self.batch) / max(self.warm_up_patches, self.batch))
        decay = self.decay_share * self.patches
        progress = 0.0 if decay == 0 else min(1.0, max(0.0, (seen - self.patches + decay) / decay))
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * warm_up * (self.final_rate_share + (1 - self.final_rate_share) * cosine)

    def statistics_are_frozen_at(self, step: int) -> bool:
        """Say whether batch normalisation uses its running statistics at a step."""
        return step * self.batch >= (1 - self.frozen_statistics_share) * self.patches


def find_members(names: tuple[str, ...]) -> tuple[MemberSpec, ...]:
    """Return the named members; ``all`` are the eight, ``trunks`` the two trunks.

    Raises
    ------
    InvalidInput
        An unknown name.
    """
    groups: dict[str, tuple[MemberSpec, ...]] = {"all": MEMBERS, "trunks": TRUNKS}
    groups |= {spec.name: (spec,) for spec in MEMBERS + TRUNKS}
    unknown = [name for name in names if name not in groups]
    if unknown:
        raise InvalidInput(f"members {unknown} are unknown, expected some of {sorted(groups)}")
    return tuple(dict.fromkeys(spec for name in names for spec in groups[name]))


def settings_to_json(settings: TrainingSettings) -> str:
    """Write settings as they go into a run's folder."""
    return json.dumps(asdict(settings), indent=1) + "\n"


def settings_from_json(text: str) -> TrainingSettings:
    """Read what ``settings_to_json`` wrote.

    Raises
    ------
    InvalidInput
        A knob this version does not know.
    """
    return _build(TrainingSettings, json.loads(text))


def _build(kind: type[Settings], content: dict[str, Any]) -> Settings:
    hints = get_type_hints(kind)
    unknown = set(content) - {one.name for one in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise InvalidInput(f"{kind.__name__} has no {sorted(unknown)}, expected {sorted(hints)}")
    values = {
        name: _build(hints[name], value) if is_dataclass(hints[name])
        else tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
    }  # fmt: skip
    return kind(**values)

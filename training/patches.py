"""Patches to train on: which, cut how, changed how. The same seed, member and step give the same batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from training.pool import Centres, ListedStudy, StudyIndex, index_study
from training.prepared import PreparedStudy
from training.settings import AugmentationSettings, LossSettings, MemberSpec, TrainingSettings

Corner = NDArray[np.int64]


class Kind(Enum):
    """What a patch was drawn for."""

    LESION = "lesion"
    MINED = "mined"
    STRUCTURE = "structure"
    BRAIN = "brain"


@dataclass(frozen=True, eq=False)
class Place:
    """Where a patch lies: the first voxel along R, A, S; it may lie outside the study."""

    study: ListedStudy
    start_ras: Corner


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches of one step, [batch, 1, r, a, s].

    Parameters
    ----------
    images
        float32, as the service's windows; 0 beyond the study.
    targets
        float32: 1 in lesions.
    weights
        float32: of a voxel in the loss; more than 1 in small lesions.
    """

    images: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


class PatchSampler:
    """Draws the batches of one member.

    Parameters
    ----------
    pool
        Folder of prepared studies.
    member
        Decides what is read and what is drawn.
    settings
        Of the run.
    """

    def __init__(self, pool: Path, member: MemberSpec, settings: TrainingSettings) -> None:
        self._pool = pool
        self._member = member
        self._settings = settings

    def batch(self, step: int, listing: tuple[ListedStudy, ...]) -> PatchBatch:
        """Return the batch of a step, from the studies of a listing."""
        rng = np.random.default_rng([self._settings.seed, crc32(self._member.name.encode()), step])
        first = step * self._settings.batch
        patches = [self._patch(first + n, listing, rng) for n in range(self._settings.batch)]
        images, targets, weights = (np.stack(part)[:, None] for part in zip(*patches, strict=True))
        return PatchBatch(images, targets, weights)

    def place(
        self, number: int, listing: tuple[ListedStudy, ...], rng: np.random.Generator
    ) -> tuple[Kind, Place]:
        """Draw where the patch of a number lies.

        The share of lesion patches holds for the numbers in a row, not only on average: with one half, every
        other patch has a lesion.
        """
        share = self._settings.sampling.lesion_share
        wants_lesion = int((number + 1) * share) > int(number * share)
        if wants_lesion:
            shuffled = (listing[n] for n in rng.permutation(len(listing)))
            study = next((one for one in shuffled if len(self._index(one).numbers)), None)
            if study is not None:
                return Kind.LESION, self._near_lesion(study, rng)
        return self._without_lesion(listing, rng)

    def _patch(
        self, number: int, listing: tuple[ListedStudy, ...], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        _, place = self.place(number, listing, rng)
        study = PreparedStudy.open(self._pool / place.study.name)
        voxels = study.t1_post_ras if self._member.input == "t1_post" else study.subtraction_ras
        edge = self._settings.patch_voxels
        image = cut(voxels, place.start_ras, edge).astype(np.float32)
        labels = cut(study.labels_ras, place.start_ras, edge)
        weights = _weight_table(self._index(place.study), self._settings.losses)[labels]
        changed = augment(image, labels > 0, weights, self._settings.augmentation, rng)
        return changed[0], changed[1].astype(np.float32), changed[2]

    def _near_lesion(self, study: ListedStudy, rng: np.random.Generator) -> Place:
        index, sampling = self._index(study), self._settings.sampling
        chance = index.volumes_mm3**-sampling.small_lesion_exponent
        lesion = rng.choice(len(chance), p=chance / chance.sum())
        reach = max(self._settings.patch_voxels // 2 - sampling.lesion_margin_voxels, 0)
        return self._around(study, index.centres_ras[lesion], reach, rng)

    def _without_lesion(
        self, listing: tuple[ListedStudy, ...], rng: np.random.Generator
    ) -> tuple[Kind, Place]:
        """Draw until a patch holds no lesion, for as many attempts as there are."""
        wanted = self._draw_kind(rng)
        for _ in range(self._settings.sampling.attempts):
            study = self._draw_study(wanted, listing, rng)
            kind, centres = self._negative_centres(wanted, study, rng)
            reach = self._settings.sampling.structure_offset_voxels
            place = self._around(study, centres[rng.integers(len(centres))], reach, rng)
            if not self._index(study).holds_lesion(place.start_ras, self._settings.patch_voxels):
                break
        return kind, place

    def _draw_kind(self, rng: np.random.Generator) -> Kind:
        sampling, drawn = self._settings.sampling, rng.random()
        if drawn < sampling.mined_share:
            return Kind.MINED
        return Kind.STRUCTURE if drawn < sampling.mined_share + sampling.structure_share else Kind.BRAIN

    @staticmethod
    def _draw_study(kind: Kind, listing: tuple[ListedStudy, ...], rng: np.random.Generator) -> ListedStudy:
        mined = [study for study in listing if study.mined_ras] if kind is Kind.MINED else []
        studies = mined or listing
        return studies[rng.integers(len(studies))]

    def _negative_centres(
        self, kind: Kind, study: ListedStudy, rng: np.random.Generator
    ) -> tuple[Kind, Centres]:
        """Return where a negative patch may lie; what a study does not have is replaced by the next best."""
        index = self._index(study)
        if kind is Kind.MINED and study.mined_ras:
            return Kind.MINED, np.array(study.mined_ras, np.int16)
        if kind is not Kind.BRAIN and index.structures_ras:
            return Kind.STRUCTURE, index.structures_ras[rng.integers(len(index.structures_ras))]
        return Kind.BRAIN, index.brain_ras

    def _around(
        self, study: ListedStudy, centre_ras: NDArray[np.int16], reach: int, rng: np.random.Generator
    ) -> Place:
        """Lay a patch around a centre, up to ``reach`` voxels off it, not far beyond the study."""
        edge, outside = self._settings.patch_voxels, self._settings.sampling.outside_voxels
        start = centre_ras.astype(np.int64) + rng.integers(-reach, reach + 1, 3) - edge // 2
        room = np.array(self._index(study).shape) + outside - edge
        return Place(study, np.where(room < -outside, room // 2, np.clip(start, -outside, room)))

    def _index(self, study: ListedStudy) -> StudyIndex:
        return index_study(self._pool / study.name)


def cut(voxels: NDArray[Any], start: Corner, edge: int) -> NDArray[Any]:
    """Return a cube of a volume, 0 where it reaches beyond."""
    cube = np.zeros((edge, edge, edge), voxels.dtype)
    source = [slice(max(at, 0), min(at + edge, size)) for at, size in zip(start, voxels.shape, strict=True)]
    target = [slice(part.start - at, part.stop - at) for part, at in zip(source, start, strict=True)]
    cube[tuple(target)] = voxels[tuple(source)]
    return cube


def augment(
    image: NDArray[np.float32],
    target: NDArray[np.bool_],
    weights: NDArray[np.float32],
    settings: AugmentationSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Mirror a patch, and change the grey values inside the mask; 0 outside stays 0."""
    flips = (settings.flip_right, settings.flip_anterior, settings.flip_superior)
    axes = tuple(int(axis) for axis in np.flatnonzero(rng.random(3) < flips))
    gain, gamma = np.exp(rng.normal(0, (settings.gain_sigma, settings.gamma_sigma)))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, settings.noise_sigma))
    changed = np.sign(image) * np.abs(image) ** np.float32(gamma) * np.float32(gain)
    changed += noise * (image != 0)
    return np.flip(changed, axes), np.flip(target, axes), np.flip(weights, axes)


def lesion_weights(volumes_mm3: NDArray[np.float64], settings: LossSettings) -> NDArray[np.float32]:
    """Return the weight of a voxel of lesions of these volumes."""
    raw = np.sqrt(settings.small_lesion_volume_mm3 / np.maximum(volumes_mm3, 1.0))
    return np.clip(raw, 1.0, settings.small_lesion_weight_limit).astype(np.float32)


def _weight_table(index: StudyIndex, settings: LossSettings) -> NDArray[np.float32]:
    """Weights by label; the background's is 1."""
    table = np.ones(int(index.numbers.max(initial=0)) + 1, np.float32)
    table[index.numbers] = lesion_weights(index.volumes_mm3, settings)
    return table

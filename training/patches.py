"""Patches to train on: which, cut how, changed how. The same seed, member and step give the same batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from training.pool import Centres, ListedStudy, Listing, StudyIndex, index_study
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
        float32: of a voxel in the loss; more than 1 in small lesions, less in those nobody can see.
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

    def batch(self, step: int, listing: Listing) -> PatchBatch:
        """Return the batch of a step, from the studies of a listing."""
        rng = np.random.default_rng([self._settings.seed, crc32(self._member.name.encode()), step])
        first = step * self._settings.batch
        patches = [self._patch(first + n, listing, rng) for n in range(self._settings.batch)]
        images, targets, weights = (np.stack(part)[:, None] for part in zip(*patches, strict=True))
        return PatchBatch(images, targets, weights)

    def place(self, number: int, listing: Listing, rng: np.random.Generator) -> tuple[Kind, Place]:
        """Draw where the patch of a number lies.

        The share of lesion patches holds for the numbers in a row, not only on average: with one half, every
        other patch has a lesion.
        """
        share = self._settings.sampling.lesion_share
        wants_lesion = int((number + 1) * share) > int(number * share)
        source = self._draw_source(listing, rng)
        if wants_lesion:
            study = self._draw_lesion_study(source, rng) or self._draw_lesion_study(listing, rng)
            if study is not None:
                return Kind.LESION, self._near_lesion(study, rng)
        return self._without_lesion(source, rng)

    def _patch(
        self, number: int, listing: Listing, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        _, place = self.place(number, listing, rng)
        study = PreparedStudy.open(self._pool / place.study.name)
        voxels = study.t1_post_ras if self._member.input == "t1_post" else study.subtraction_ras
        edge = self._settings.patch_voxels
        image = cut(voxels, place.start_ras, edge).astype(np.float32)
        labels = cut(study.labels_ras, place.start_ras, edge)
        weights = self._weight_table(self._index(place.study))[labels]
        changed = augment(image, labels > 0, weights, self._settings.augmentation, rng)
        return changed[0], changed[1].astype(np.float32), changed[2]

    def _draw_source(self, listing: Listing, rng: np.random.Generator) -> Listing:
        """Choose between patients and synthetic studies, where there are both."""
        imported = tuple(study for study in listing if study.is_imported)
        if not imported or len(imported) == len(listing):
            return listing
        if rng.random() < self._settings.sampling.imported_share:
            return imported
        return tuple(study for study in listing if not study.is_imported)

    def _draw_lesion_study(self, listing: Listing, rng: np.random.Generator) -> ListedStudy | None:
        """Draw a study with a lesion, one the member can see if there is any; None where there is no lesion.

        One with missed lesions is accepted more often: they gain also where they are their study's only ones.
        """
        sampling = self._settings.sampling
        factor = sampling.missed_factor if any(study.missed for study in listing) else 1.0
        for _ in range(sampling.attempts):
            study = listing[rng.integers(len(listing))]
            if rng.random() * factor < self._gain_by_missed(study):
                return study
        shuffled = [listing[n] for n in rng.permutation(len(listing))]
        seen = (one for one in shuffled if self._sees(one).any())
        hidden = (one for one in shuffled if len(self._index(one).numbers))
        return next(chain(seen, hidden), None)

    def _gain_by_missed(self, study: ListedStudy) -> float:
        """Return how much more often a study is drawn than one without missed lesions; 0: nothing to see."""
        if not self._sees(study).any():
            return 0.0
        usual = self._lesion_chances(replace(study, missed=()))
        return float(self._lesion_chances(study).sum() / usual.sum())

    def _lesion_chances(self, study: ListedStudy) -> NDArray[np.float64]:
        """Return relative chances of a study's lesions; hidden ones have some only where nothing else is."""
        index, sampling = self._index(study), self._settings.sampling
        seen = self._sees(study)
        chances = index.volumes_mm3**-sampling.small_lesion_exponent * (seen if seen.any() else 1.0)
        return chances * np.where(np.isin(index.numbers, study.missed), sampling.missed_factor, 1.0)

    def _sees(self, study: ListedStudy) -> NDArray[np.bool_]:
        return self._index(study).sees(self._member, self._settings.least_conspicuity)

    def _near_lesion(self, study: ListedStudy, rng: np.random.Generator) -> Place:
        index, sampling = self._index(study), self._settings.sampling
        chances = self._lesion_chances(study)
        lesion = rng.choice(len(chances), p=chances / chances.sum())
        reach = max(self._settings.patch_voxels // 2 - sampling.lesion_margin_voxels, 0)
        return self._around(study, index.centres_ras[lesion], reach, rng)

    def _without_lesion(self, listing: Listing, rng: np.random.Generator) -> tuple[Kind, Place]:
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
    def _draw_study(kind: Kind, listing: Listing, rng: np.random.Generator) -> ListedStudy:
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

    def _weight_table(self, index: StudyIndex) -> NDArray[np.float32]:
        """Return the weights of voxels by label; the background's is 1."""
        losses = self._settings.losses
        seen = index.sees(self._member, self._settings.least_conspicuity)
        table = np.ones(int(index.numbers.max(initial=0)) + 1, np.float32)
        weights = lesion_weights(index.volumes_mm3, losses)
        table[index.numbers] = np.where(seen, weights, losses.hidden_lesion_weight)
        return table

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

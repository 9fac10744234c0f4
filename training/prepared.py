"""One study as the members see it, on disk: shared by synthesis, by imported scans and by training."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput

FORMAT_VERSION = 1
"""Of the folder's content; another version is refused."""

STUDY_FILE = "study.json"
"""Written last but one step: a folder gets its name only when it is complete."""

VOXEL_FILES = ("t1_post", "subtraction", "labels", "structures")
"""Arrays of a study, one .npy file each, axes (R, A, S); structures only where they are known."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class PreparedLesion:
    """One lesion of a prepared study.

    Parameters
    ----------
    number
        Its value in the labels.
    volume_mm3
        Of its labelled voxels.
    centre_ras
        Index of the labelled voxel nearest to its centroid: inside the lesion, also where that is a ring.
    """

    number: int
    volume_mm3: float
    centre_ras: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """A pair on a 1 mm grid, cropped to the brain, normalised as the service normalises a patient's.

    Parameters
    ----------
    name
        Of the study and of its folder.
    anatomy
        Of whom; studies of one anatomy belong on one side of a split.
    seed
        Of the synthesis; None for a patient.
    recipe
        SHA-256 over the settings of the synthesis, or a word on where the scan came from.
    lesions
        By number.
    t1_post_ras, subtraction_ras
        float16, z-scored in the brain mask, 0 outside.
    labels_ras
        uint16: number of the lesion, 0 elsewhere.
    structures_ras
        uint8 of ``phantom.synthesis.structures.Enhancing``; None where nobody knows.
    """

    name: str
    anatomy: str
    seed: int | None
    recipe: str
    lesions: tuple[PreparedLesion, ...]
    t1_post_ras: NDArray[np.float16]
    subtraction_ras: NDArray[np.float16]
    labels_ras: NDArray[np.uint16]
    structures_ras: NDArray[np.uint8] | None

    @classmethod
    def from_kji(
        cls,
        *,
        name: str,
        anatomy: str,
        seed: int | None,
        recipe: str,
        t1_post_kji: Floats,
        subtraction_kji: Floats,
        labels_kji: NDArray[np.integer[Any]],
        structures_kji: NDArray[np.integer[Any]] | None = None,
    ) -> Self:
        """Take normalised volumes on a canonical 1 mm grid, crop them to the mask and turn their axes.

        The mask is where either volume differs from 0. A lesion voxel outside it is dropped: the members see
        nothing there, and the service masks what they say.

        Raises
        ------
        InvalidInput
            The volumes differ in shape, or are empty.
        """
        given = {"subtraction": subtraction_kji, "labels": labels_kji, "structures": structures_kji}
        for what, voxels in given.items():
            if voxels is not None and voxels.shape != t1_post_kji.shape:
                raise InvalidInput(f"{what} of {name} has shape {voxels.shape}, expected {t1_post_kji.shape}")
        mask_kji = (t1_post_kji != 0) | (subtraction_kji != 0)
        if not mask_kji.any():
            raise InvalidInput(f"{name} is 0 everywhere, expected a normalised brain")
        box = ndimage.find_objects(mask_kji.astype(np.uint8))[0]
        labels = to_ras(np.where(mask_kji, labels_kji, 0)[box]).astype(np.uint16)
        return cls(
            name=name,
            anatomy=anatomy,
            seed=seed,
            recipe=recipe,
            lesions=_measure(labels),
            t1_post_ras=to_ras(t1_post_kji[box]).astype(np.float16),
            subtraction_ras=to_ras(subtraction_kji[box]).astype(np.float16),
            labels_ras=labels,
            structures_ras=None if structures_kji is None else to_ras(structures_kji[box]).astype(np.uint8),
        )

    def write(self, folder: Path) -> None:
        """Write the study; the folder appears complete or not at all, and replaces one of that name."""
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for what in VOXEL_FILES:
            voxels = getattr(self, f"{what}_ras")
            if voxels is not None:
                np.save(unfinished / f"{what}.npy", np.ascontiguousarray(voxels))
        (unfinished / STUDY_FILE).write_text(json.dumps(self._description(), indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a study; its voxels stay on disk until they are looked at.

        Raises
        ------
        InvalidInput
            No study, or one of another version.
        """
        try:
            content = json.loads((folder / STUDY_FILE).read_text())
            voxels = {what: _map(folder / f"{what}.npy") for what in VOXEL_FILES[:3]}
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder} is no prepared study: {error}") from error
        if content["format"] != FORMAT_VERSION:
            raise InvalidInput(f"{folder} has format {content['format']}, expected {FORMAT_VERSION}")
        structures = folder / "structures.npy"
        return cls(
            name=content["name"],
            anatomy=content["anatomy"],
            seed=content["seed"],
            recipe=content["recipe"],
            lesions=tuple(
                PreparedLesion(one["number"], one["volume_mm3"], _triple(one["centre_ras"]))
                for one in content["lesions"]
            ),
            t1_post_ras=voxels["t1_post"],
            subtraction_ras=voxels["subtraction"],
            labels_ras=voxels["labels"],
            structures_ras=_map(structures) if structures.exists() else None,
        )

    def _description(self) -> dict[str, Any]:
        return {
            "format": FORMAT_VERSION,
            "name": self.name,
            "anatomy": self.anatomy,
            "seed": self.seed,
            "recipe": self.recipe,
            "axes": ["R", "A", "S"],
            "spacing_mm": 1.0,
            "shape": list(self.labels_ras.shape),
            "lesions": [asdict(lesion) for lesion in self.lesions],
        }


def prepare_pair(
    t1_kji: Floats, t1_post_kji: Floats, mask_kji: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Subtract and normalise a registered pair exactly as the service does.

    Parameters
    ----------
    t1_kji, t1_post_kji
        On one 1 mm grid, in any unit; T1 is NaN where it does not reach.
    mask_kji
        The dilated brain mask.

    Returns
    -------
    tuple[NDArray[np.float32], NDArray[np.float32]]
        T1-post, and T1-post minus T1 scaled to its median: z-scored in the mask, 0 outside.

    Raises
    ------
    InvalidInput
        A median that is not positive, or a brain of a single grey value.
    """
    post, pre = (voxels.astype(np.float32, copy=False) for voxels in (t1_post_kji, t1_kji))
    compared = mask_kji & np.isfinite(pre)
    post_median, pre_median = float(np.median(post[compared])), float(np.median(pre[compared]))
    if not (post_median > 0 and pre_median > 0):
        raise InvalidInput(
            f"the brain's median is {pre_median:g} in T1 and {post_median:g} in T1-post, "
            "expected positive values"
        )
    difference = post - pre * np.float32(post_median / pre_median)
    return _z_score(post, mask_kji), _z_score(difference, compared)


def to_ras(voxels_kji: NDArray[Any]) -> NDArray[Any]:
    """View canonical voxels (k Superior, j Posterior, i Left) with axes (Right, Anterior, Superior)."""
    return voxels_kji.transpose(2, 1, 0)[::-1, ::-1]


def _z_score(voxels_kji: NDArray[np.float32], mask_kji: NDArray[np.bool_]) -> NDArray[np.float32]:
    inside = voxels_kji[mask_kji].astype(np.float64)
    deviation = float(inside.std())
    if deviation == 0:
        raise InvalidInput("the brain has a single grey value, expected an image")
    normalised = np.zeros(voxels_kji.shape, dtype=np.float32)
    normalised[mask_kji] = (inside - inside.mean()) / deviation
    return normalised


def _measure(labels_ras: NDArray[np.uint16]) -> tuple[PreparedLesion, ...]:
    """Volume and centre of every lesion; a voxel has 1 mm3."""
    lesions = []
    for number, box in enumerate(ndimage.find_objects(labels_ras), start=1):
        if box is None:
            continue
        indices = np.argwhere(labels_ras[box] == number)
        nearest = indices[np.argmin(((indices - indices.mean(0)) ** 2).sum(1))]
        centre = nearest + [part.start for part in box]
        lesions.append(PreparedLesion(number, float(len(indices)), _triple(centre)))
    return tuple(lesions)


def _map(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _triple(values: Any) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in values)
    return first, second, third

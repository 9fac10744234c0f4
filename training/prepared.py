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
from training.prepared_lesions import Floats, PreparedLesion, lesions_from_json, measure_lesions

FORMAT_VERSION = 2
"""Of the folder's content; another version is refused."""

STUDY_FILE = "study.json"
"""Written last but one step: a folder gets its name only when it is complete."""

MINED_FILE = "mined.json"
"""Where earlier networks were wrong in a study, if there: ``training.pool`` describes it."""

VOXEL_FILES = ("t1_post", "subtraction", "labels", "structures")
"""Arrays of a study, one .npy file each, axes (R, A, S); structures only where they are known."""


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
            The volumes differ in shape, are empty, or have values that are not finite.
        """
        given = {"subtraction": subtraction_kji, "labels": labels_kji, "structures": structures_kji}
        for what, voxels in given.items():
            if voxels is not None and voxels.shape != t1_post_kji.shape:
                raise InvalidInput(f"{what} of {name} has shape {voxels.shape}, expected {t1_post_kji.shape}")
        box = _find_brain(name, t1_post_kji, subtraction_kji)
        t1_post, subtraction = to_ras(t1_post_kji[box]), to_ras(subtraction_kji[box])
        mask = (t1_post != 0) | (subtraction != 0)
        labels = np.where(mask, to_ras(labels_kji[box]), 0).astype(np.uint16)
        return cls(
            name=name,
            anatomy=anatomy,
            seed=seed,
            recipe=recipe,
            lesions=measure_lesions(labels, t1_post, subtraction, mask),
            t1_post_ras=t1_post.astype(np.float16),
            subtraction_ras=subtraction.astype(np.float16),
            labels_ras=labels,
            structures_ras=None if structures_kji is None else to_ras(structures_kji[box]).astype(np.uint8),
        )

    def write(self, folder: Path) -> None:
        """Write the study; the folder appears complete or not at all, and replaces one of that name.

        Who has the old one open goes on reading it. What networks got wrong in it is kept where the old one
        was the same study.
        """
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        aside = folder.with_name(f"{unfinished.name}.old")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for what in VOXEL_FILES:
            voxels = getattr(self, f"{what}_ras")
            if voxels is not None:
                np.save(unfinished / f"{what}.npy", np.ascontiguousarray(voxels))
        (unfinished / STUDY_FILE).write_text(json.dumps(self._description(), indent=1) + "\n")
        if folder.exists():
            if (folder / MINED_FILE).exists() and self._is_origin_of(folder):
                shutil.copyfile(folder / MINED_FILE, unfinished / MINED_FILE)
            folder.rename(aside)
        unfinished.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)

    def _is_origin_of(self, folder: Path) -> bool:
        """Say whether the study in a folder was made of the same as this one."""
        try:
            content = read_description(folder)
        except InvalidInput:
            return False
        return all(content.get(key) == getattr(self, key) for key in ("anatomy", "seed", "recipe"))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a study; its voxels stay on disk until they are looked at.

        Raises
        ------
        InvalidInput
            No study, or one of another version.
        """
        content = read_description(folder)
        try:
            voxels = {what: _map(folder / f"{what}.npy") for what in VOXEL_FILES[:3]}
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder} is no prepared study: {error}") from error
        structures = folder / "structures.npy"
        return cls(
            name=content["name"],
            anatomy=content["anatomy"],
            seed=content["seed"],
            recipe=content["recipe"],
            lesions=lesions_from_json(content["lesions"]),
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


def read_description(folder: Path) -> dict[str, Any]:
    """Read what a study says of itself, without its voxels.

    Raises
    ------
    InvalidInput
        No study, or one of another version.
    """
    try:
        content: dict[str, Any] = json.loads((folder / STUDY_FILE).read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder} is no prepared study: {error}") from error
    if content["format"] != FORMAT_VERSION:
        raise InvalidInput(f"{folder} has format {content['format']}, expected {FORMAT_VERSION}")
    return content


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


def _find_brain(name: str, t1_post_kji: Floats, subtraction_kji: Floats) -> tuple[slice, ...]:
    """Return the box around the voxels that are not 0."""
    for what, voxels in (("T1-post", t1_post_kji), ("subtraction", subtraction_kji)):
        if not np.isfinite(voxels).all():
            raise InvalidInput(f"{what} of {name} has NaN or infinite voxels, expected a normalised brain")
    boxes = ndimage.find_objects(((t1_post_kji != 0) | (subtraction_kji != 0)).astype(np.uint8))
    if not boxes:
        raise InvalidInput(f"{name} is 0 everywhere, expected a normalised brain")
    box: tuple[slice, ...] = boxes[0]
    return box


def _map(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)

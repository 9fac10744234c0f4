"""The lesion-wise scores of the BraTS-METS challenges, by their definition.

The reference is dilated by one voxel before its components are numbered, so that fragments of one
lesion count once; reference lesions of at most two voxels are ignored; every prediction that touches
a dilated lesion belongs to it; misses and inventions score Dice 0 and 374 mm. Surfaces are those of
``evaluation.scoring.surfaces``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from evaluation.figures.outcomes import BratsScore
from evaluation.scoring.surfaces import Spacing, joint_box, measure_surface_distance
from worker.lesions import CONNECTIVITY_26

Labels = NDArray[np.integer]

PENALTY_MM = 374.0
"""HD95 of a miss or an invention: the diagonal of the challenge's volumes."""

IGNORED_VOXELS = 2
"""Reference lesions up to this size are neither wanted nor held against anyone."""

DILATION = ndimage.generate_binary_structure(3, 2)
"""One voxel along faces and edges."""


def score_lesion_wise(reference_kji: Labels, prediction_kji: Labels, spacing_kji_mm: Spacing) -> BratsScore:
    """Return the lesion-wise means of a scan.

    Parameters
    ----------
    reference_kji
        Above 0 where there is lesion.
    prediction_kji
        0, or the number of the predicted lesion, without gaps.
    """
    merged = _merge_fragments(reference_kji > 0)
    boxes = ndimage.find_objects(prediction_kji)
    scores = []
    claimed: set[int] = set()
    for number, box in enumerate(ndimage.find_objects(merged), start=1):
        touching = set(np.unique(prediction_kji[box][merged[box] == number]).tolist()) - {0}
        claimed |= touching
        around = joint_box([box, *(boxes[label - 1] for label in touching)])
        lesion = (reference_kji[around] > 0) & (merged[around] == number)
        if np.count_nonzero(lesion) > IGNORED_VOXELS:
            found = np.isin(prediction_kji[around], list(touching))
            scores.append(_score(lesion, found, spacing_kji_mm))
    scores += [(0.0, PENALTY_MM)] * (len(boxes) - len(claimed))
    if not scores:
        return BratsScore(None, None)
    dice, distance_mm = np.mean(scores, axis=0).tolist()
    return BratsScore(dice, distance_mm)


def _merge_fragments(reference: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the numbered components of the dilated reference."""
    merged = np.zeros(reference.shape, dtype=np.int32)
    for box in ndimage.find_objects(reference.astype(np.uint8)):
        grown = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in box)
        dilated = ndimage.binary_dilation(reference[grown], DILATION)
        ndimage.label(dilated, CONNECTIVITY_26, output=merged[grown])
    return merged


def _score(
    lesion: NDArray[np.bool_], found: NDArray[np.bool_], spacing_kji_mm: Spacing
) -> tuple[float, float]:
    if not found.any():
        return 0.0, PENALTY_MM
    dice = 2 * np.count_nonzero(lesion & found) / (np.count_nonzero(lesion) + np.count_nonzero(found))
    return dice, measure_surface_distance(found, lesion, spacing_kji_mm).symmetric_mm

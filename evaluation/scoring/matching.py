"""Which predicted lesion is which reference lesion: by any overlap, and one to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from core.errors import InvalidInput

Labels = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How two label maps of one grid lie over each other; labels count from 1 without gaps.

    Parameters
    ----------
    shared
        (references, predictions): voxels that reference r + 1 and prediction p + 1 share.
    reference_voxels, prediction_voxels
        Voxels of each lesion.
    """

    shared: NDArray[np.int64]
    reference_voxels: NDArray[np.int64]
    prediction_voxels: NDArray[np.int64]

    @property
    def detected(self) -> NDArray[np.bool_]:
        """Whether any predicted voxel overlaps each reference lesion (the paper's rule)."""
        return np.asarray(self.shared.any(axis=1))

    @property
    def false_positives(self) -> NDArray[np.int64]:
        """Labels of the predicted lesions that overlap no reference lesion."""
        return np.flatnonzero(~self.shared.any(axis=0)) + 1

    def predictions_of(self, reference: int) -> NDArray[np.int64]:
        """Return the labels of the predicted lesions that overlap a reference lesion."""
        return np.flatnonzero(self.shared[reference - 1]) + 1

    def lesion_dice(self, reference: int) -> float:
        """Return the Dice of a reference lesion and the union of the predictions over it; 0 without any."""
        overlapping = self.predictions_of(reference) - 1
        predicted = int(self.prediction_voxels[overlapping].sum())
        shared = int(self.shared[reference - 1].sum())
        return 2 * shared / (int(self.reference_voxels[reference - 1]) + predicted)

    def scan_dice(self) -> float | None:
        """Return the Dice of all voxels; None without reference lesions."""
        if len(self.reference_voxels) == 0:
            return None
        return float(2 * self.shared.sum() / (self.reference_voxels.sum() + self.prediction_voxels.sum()))

    def one_to_one(self) -> NDArray[np.bool_]:
        """Tell of each reference lesion whether it has a predicted lesion to itself.

        Pairs are chosen so that the sum of their Dice is largest; a pair without overlap is none.
        """
        dice = 2 * self.shared / (self.reference_voxels[:, None] + self.prediction_voxels[None, :])
        references, predictions = linear_sum_assignment(dice, maximize=True)
        matched = np.zeros(len(self.reference_voxels), dtype=np.bool_)
        matched[references] = dice[references, predictions] > 0
        return matched


def overlap(reference_kji: Labels, prediction_kji: Labels) -> Overlaps:
    """Count the voxels that every pair of lesions shares.

    Raises
    ------
    InvalidInput
        The shapes differ.
    """
    if reference_kji.shape != prediction_kji.shape:
        raise InvalidInput(f"the prediction has shape {prediction_kji.shape}, expected {reference_kji.shape}")
    either = (reference_kji > 0) | (prediction_kji > 0)
    reference, prediction = reference_kji[either].astype(np.int64), prediction_kji[either].astype(np.int64)
    rows, columns = int(reference.max(initial=0)) + 1, int(prediction.max(initial=0)) + 1
    table = np.bincount(reference * columns + prediction, minlength=rows * columns).reshape(rows, columns)
    return Overlaps(
        shared=table[1:, 1:],
        reference_voxels=table[1:].sum(axis=1),
        prediction_voxels=table[:, 1:].sum(axis=0),
    )

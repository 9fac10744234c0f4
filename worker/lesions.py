"""LesionProbability -> Findings: threshold, components, measures on the T1-post grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from core.lesion import Lesion


@dataclass(frozen=True, eq=False)
class Findings:
    """The lesions of a study on the T1-post grid.

    Parameters
    ----------
    label_map_kji
        uint16, shape of ``grid``; 0 is background, n is the voxels of the lesion with ``number`` n.
    grid
        The T1-post grid (same as the source Volume's).
    lesions
        Numbered 1..n, largest first; empty for a negative study.
    """

    label_map_kji: NDArray[np.uint16]
    grid: Grid
    lesions: tuple[Lesion, ...]

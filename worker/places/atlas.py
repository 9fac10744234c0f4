"""The atlas: which part of the brain lies where in MNI152 space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from core.lesion import Region

ATLAS_FILE = Path(__file__).with_name("mni152_regions.npz")

REGION_OF_VALUE: dict[int, Region] = {
    1: Region.FRONTAL_LOBE,
    2: Region.PARIETAL_LOBE,
    3: Region.TEMPORAL_LOBE,
    4: Region.OCCIPITAL_LOBE,
    5: Region.INSULA,
    6: Region.DEEP_GREY_MATTER,
    7: Region.CEREBELLUM,
    8: Region.BRAIN_STEM,
}
"""Values of the file; 0 is outside the brain."""

NO_PART = 9
"""Inside the brain, in none of its parts: ventricles, cisterns."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Parts of the brain on a lattice of MNI152 space.

    Parameters
    ----------
    values_kji
        uint8: 0 outside the brain, ``REGION_OF_VALUE``, or ``NO_PART``.
    grid
        Maps indices to MNI millimetres, with the axes of LPS: x towards Left, y towards Posterior. The
        mid-plane is x = 0.
    """

    values_kji: NDArray[np.uint8]
    grid: Grid

    @property
    def brain_kji(self) -> NDArray[np.bool_]:
        """The brain with its CSF."""
        return np.asarray(self.values_kji > 0)


@cache
def load_atlas() -> Atlas:
    """Read the atlas that lies beside this module."""
    with np.load(ATLAS_FILE) as stored:
        values_kji = np.asarray(stored["values_kji"], dtype=np.uint8)
        grid = Grid(values_kji.shape, np.asarray(stored["affine_kji_to_lps_mm"]))
    values_kji.setflags(write=False)
    return Atlas(values_kji, grid)

"""Grid: the one geometry convention.

Index order is (k, j, i) = (slice, row, column); world coordinates are LPS millimetres; one
affine maps the first to the second. Anything else is converted at the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

AFFINE_TOLERANCE_MM = 1e-3
"""Two grids whose affines differ by less than this at every entry are the same grid."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxels in the patient.

    Parameters
    ----------
    shape_kji
        Number of slices, rows, columns.
    affine_kji_to_lps_mm
        4 x 4; maps the homogeneous index (k, j, i, 1) of a voxel's centre to LPS millimetres.
    """

    shape_kji: tuple[int, int, int]
    affine_kji_to_lps_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine_kji_to_lps_mm, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"affine has shape {affine.shape}, expected (4, 4)")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:  # a lattice needs three independent directions
            raise ValueError(f"affine is singular: {affine.tolist()}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine_kji_to_lps_mm", affine)
        object.__setattr__(self, "shape_kji", tuple(int(n) for n in self.shape_kji))

    @cached_property
    def spacing_kji_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along k, j and i, in mm."""
        k, j, i = np.linalg.norm(self.affine_kji_to_lps_mm[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @cached_property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine_kji_to_lps_mm[:3, :3])))

    @cached_property
    def directions_lps(self) -> NDArray[np.float64]:
        """3 x 3; columns are the unit vectors of k, j and i in LPS."""
        matrix = self.affine_kji_to_lps_mm[:3, :3]
        return np.asarray(matrix / np.linalg.norm(matrix, axis=0))

    def to_lps_mm(self, index_kji: ArrayLike) -> NDArray[np.float64]:
        """Map voxel indices (..., 3) to LPS millimetres (..., 3)."""
        index = np.asarray(index_kji, dtype=np.float64)
        affine = self.affine_kji_to_lps_mm
        return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])

    def to_index_kji(self, point_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Map LPS millimetres (..., 3) to fractional voxel indices (..., 3)."""
        point = np.asarray(point_lps_mm, dtype=np.float64)
        inverse = np.linalg.inv(self.affine_kji_to_lps_mm)
        return np.asarray(point @ inverse[:3, :3].T + inverse[:3, 3])

    def is_close_to(self, other: Grid, tolerance_mm: float = AFFINE_TOLERANCE_MM) -> bool:
        """Tell whether both grids hold the same voxels at the same places."""
        return self.shape_kji == other.shape_kji and bool(
            np.allclose(self.affine_kji_to_lps_mm, other.affine_kji_to_lps_mm, rtol=0, atol=tolerance_mm)
        )

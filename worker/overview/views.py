"""Views: planes of the scan's own lattice, turned as radiologists hang them.

The planes are those of the voxels, never in between: the acquired one shows what the PACS shows, and no
outline is interpolated. Oblique scans keep their tilt, and the letters at the edges tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from worker.canonical import nearest_axes


class View(StrEnum):
    """A plane, seen from the patient's feet, front and left."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


_S, _P, _L = 0, 1, 2
_HANGING = {
    View.AXIAL: (_S, (_P, 1.0), (_L, 1.0)),
    View.CORONAL: (_P, (_S, -1.0), (_L, 1.0)),
    View.SAGITTAL: (_L, (_S, -1.0), (_P, 1.0)),
}
"""Normal, then what lies downwards and to the right: the patient's right is on the left of the picture."""

LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))
"""Along x, y and z of LPS: negative, positive."""

TILT_COSINE = 0.25
"""A second letter stands from about 15 degrees of tilt."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """How a view takes its planes from a grid.

    Parameters
    ----------
    normal, down, right
        Axes of the grid, 0 to 2.
    down_sign, right_sign
        -1 where the grid's axis runs the other way.
    """

    view: View
    normal: int
    down: int
    right: int
    down_sign: float
    right_sign: float

    @property
    def is_acquired(self) -> bool:
        """Whether the planes are the slices as they were acquired."""
        return self.normal == 0

    def plane(self, volume: NDArray[np.generic], index: int) -> NDArray[np.generic]:
        """Return one plane of a volume (k, j, i), rows downwards, columns to the right."""
        plane = np.take(volume, index, axis=self.normal)
        plane = plane if self.down < self.right else plane.T
        return np.asarray(plane[:: int(self.down_sign), :: int(self.right_sign)])

    def place(self, index_kji: NDArray[np.float64], grid: Grid) -> tuple[float, float]:
        """Return the row and column at which an index lies in its plane."""
        row, column = float(index_kji[self.down]), float(index_kji[self.right])
        row = row if self.down_sign > 0 else grid.shape_kji[self.down] - 1 - row
        column = column if self.right_sign > 0 else grid.shape_kji[self.right] - 1 - column
        return row, column

    def spacing_mm(self, grid: Grid) -> tuple[float, float]:
        """Return the distance between rows and between columns."""
        return grid.spacing_kji_mm[self.down], grid.spacing_kji_mm[self.right]

    def letters(self, grid: Grid) -> tuple[str, str, str, str]:
        """Return the orientation letters of the left, right, top and bottom edges."""
        right = grid.directions_lps[:, self.right] * self.right_sign
        down = grid.directions_lps[:, self.down] * self.down_sign
        return (
            direction_letters(-right),
            direction_letters(right),
            direction_letters(-down),
            direction_letters(down),
        )


def hangings(grid: Grid) -> tuple[Hanging, ...]:
    """Return the three views of a grid, the acquired one first."""
    axes, signs = nearest_axes(grid)
    found = [
        Hanging(
            view, axes[normal], axes[down], axes[right], sign_down * signs[down], sign_right * signs[right]
        )
        for view, (normal, (down, sign_down), (right, sign_right)) in _HANGING.items()
    ]
    return tuple(sorted(found, key=lambda hanging: not hanging.is_acquired))


def direction_letters(direction_lps: NDArray[np.float64]) -> str:
    """Return where a direction leads, its largest part first, such as "P" or "PI"."""
    parts = sorted(zip(direction_lps.tolist(), LETTERS, strict=True), key=lambda part: -abs(part[0]))
    shown = [names[value > 0] for value, names in parts if abs(value) >= TILT_COSINE]
    return "".join(shown)

"""The geometries of the conformance matrix: what scanners write, one case a difference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from tests.dicom_sources import AXIAL, OBLIQUE, SAGITTAL, Orientation, make_grid

CORONAL: Orientation = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
TILTED: Orientation = ((1.0, 0.0, 0.0), (0.0, 0.8, 0.6))
TURNED_THRICE: Orientation = ((0.576, 0.168, 0.8), (-0.6848, 0.6336, 0.36))
"""A turn about every axis; exact in the decimals of a DS."""
SAGITTAL_TILTED: Orientation = ((0.28, 0.96, 0.0), (0.0, 0.0, -1.0))
NEGATED_ROW: Orientation = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
NEGATED_COLUMN: Orientation = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
BOTH_NEGATED: Orientation = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
HEAD_TO_FOOT_FIRST: Orientation = ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0))

NEAR_THE_CENTRE = (-1.3, 4.2, 7.7)
"""Of the stack, in LPS mm: the patient's midline runs through the images, not through their middle."""


class Kind(StrEnum):
    """How the source series is stored."""

    CLASSIC = "classic"
    ENHANCED = "enhanced"


class Order(StrEnum):
    """In what order the instances arrive."""

    SHUFFLED = "shuffled"
    SORTED = "sorted"
    REVERSED = "reversed"


@dataclass(frozen=True)
class Geometry:
    """One case of the matrix.

    Parameters
    ----------
    spacing_kji_mm
        Between slices, rows and columns.
    centre_lps_mm
        Of the stack.
    character_set
        Specific Character Set; None leaves it out.
    """

    name: str
    orientation: Orientation = AXIAL
    spacing_kji_mm: tuple[float, float, float] = (1.0, 0.9, 0.9)
    shape_kji: tuple[int, int, int] = (14, 32, 28)
    centre_lps_mm: tuple[float, float, float] = NEAR_THE_CENTRE
    kind: Kind = Kind.CLASSIC
    order: Order = Order.SHUFFLED
    patient_position: str = "HFS"
    patient_name: str = "Doe^Jane"
    character_set: str | list[str] | None = None

    @property
    def directions_lps(self) -> NDArray[np.float64]:
        """3 x 3; rows are the unit vectors of k, j and i."""
        row, column = np.array(self.orientation)
        return np.stack([np.cross(row, column), column, row])

    @property
    def origin_lps_mm(self) -> NDArray[np.float64]:
        """Centre of the first voxel, to the decimals of the headers."""
        half_kji_mm = (np.array(self.shape_kji) - 1) / 2 * self.spacing_kji_mm
        return np.asarray((self.centre_lps_mm - half_kji_mm @ self.directions_lps).round(6))

    @property
    def voxel_volume_mm3(self) -> float:
        """Slice distance times pixel area."""
        return float(np.prod(self.spacing_kji_mm))

    def grid(self) -> Grid:
        """The grid the headers are written from."""
        x, y, z = (float(v) for v in self.origin_lps_mm)
        return make_grid(self.shape_kji, self.spacing_kji_mm, self.orientation, (x, y, z))

    def to_index_kji(self, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map LPS mm (..., 3) to (slice, row, column), from the case's own numbers."""
        offsets_mm = (points_lps_mm - self.origin_lps_mm) @ self.directions_lps.T
        return np.asarray(offsets_mm / self.spacing_kji_mm)


JAPANESE = ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])

CLASSIC = (
    Geometry("axial"),
    Geometry("sagittal", SAGITTAL),
    Geometry("coronal", CORONAL),
    Geometry("oblique", TILTED),
    Geometry("double-oblique", OBLIQUE),
    Geometry("turned-about-three-axes", TURNED_THRICE),
    Geometry("sagittal-oblique", SAGITTAL_TILTED),
    Geometry("slices-0.5-mm", spacing_kji_mm=(0.5, 0.5, 0.5)),
    Geometry("slices-1.5-mm", spacing_kji_mm=(1.5, 0.7, 0.7)),
    Geometry("slices-3-mm", spacing_kji_mm=(3.0, 0.9, 0.9)),
    Geometry("slices-5-mm", spacing_kji_mm=(5.0, 0.9, 0.9)),
    Geometry("anisotropic-pixels", spacing_kji_mm=(1.2, 0.5, 1.25)),
    Geometry("anisotropic-pixels-oblique", OBLIQUE, (2.0, 1.25, 0.5)),
    Geometry("cubic-matrix", shape_kji=(32, 32, 32), spacing_kji_mm=(1.0, 1.0, 1.0)),
    Geometry("cubic-matrix-sagittal", SAGITTAL, (1.0, 1.0, 1.0), (32, 32, 32)),
    Geometry("negated-row-cosines", NEGATED_ROW),
    Geometry("negated-column-cosines", NEGATED_COLUMN),
    Geometry("both-cosines-negated", BOTH_NEGATED, patient_position="HFP"),
    Geometry("sagittal-negated-cosines", HEAD_TO_FOOT_FIRST),
    Geometry("sorted-slices", order=Order.SORTED),
    Geometry("reversed-slices", OBLIQUE, order=Order.REVERSED),
    Geometry("off-centre-left", centre_lps_mm=(71.25, -48.5, 110.75)),
    Geometry("off-centre-right", OBLIQUE, centre_lps_mm=(-83.4, 66.1, -152.3)),
    Geometry("feet-first-supine", NEGATED_ROW, patient_position="FFS"),
    Geometry("feet-first-prone", patient_position="FFP"),
    Geometry("latin-1-name", patient_name="Müller^Änne", character_set="ISO_IR 100"),
    Geometry("utf-8-name", patient_name="Łukasiewicz^Żaneta", character_set="ISO_IR 192"),
    Geometry("iso-2022-japanese-name", patient_name=JAPANESE[0], character_set=JAPANESE[1]),
)

ENHANCED = tuple(
    Geometry(f"enhanced-{name}", orientation, spacing, shape, kind=Kind.ENHANCED)
    for name, orientation, spacing, shape in (
        ("axial", AXIAL, (1.0, 0.9, 0.9), (14, 32, 28)),
        ("sagittal", SAGITTAL, (1.0, 0.9, 0.9), (14, 32, 28)),
        ("coronal", CORONAL, (1.0, 0.9, 0.9), (14, 32, 28)),
        ("oblique", TILTED, (1.5, 0.7, 0.7), (14, 32, 28)),
        ("double-oblique", OBLIQUE, (3.0, 0.5, 1.25), (14, 32, 28)),
        ("negated-column-cosines", NEGATED_COLUMN, (0.5, 0.5, 0.5), (14, 32, 28)),
        ("cubic-matrix", AXIAL, (1.0, 1.0, 1.0), (32, 32, 32)),
    )
)

GEOMETRIES = CLASSIC + ENHANCED

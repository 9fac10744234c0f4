"""Where a head lies: standard brain millimetres fitted to its labels, to place anatomy in any pose."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from phantom.fields import Points
from phantom.synthesis.anatomy.structures import Structure

MEDIAN_LANDMARKS: MappingProxyType[Structure, tuple[float, float]] = MappingProxyType(
    {
        Structure.BRAINSTEM: (-24.5, 26.0),
        Structure.THIRD_VENTRICLE: (-5.0, 11.0),
        Structure.FOURTH_VENTRICLE: (-28.0, 42.0),
        Structure.CHIASM: (-17.0, -1.0),
    }
)
"""Centroids (up, back) in standard mm of what lies on the midline, mean of segmented heads."""

PAIRED_LANDMARKS: MappingProxyType[Structure, tuple[float, float, float]] = MappingProxyType(
    {
        Structure.WHITE_MATTER: (15.5, 16.5, 26.5),
        Structure.DEEP_GREY: (-0.5, -2.0, 19.0),
        Structure.THALAMUS: (5.5, 17.5, 11.5),
        Structure.PALLIDUM: (-2.5, 4.5, 19.0),
        Structure.HIPPOCAMPUS: (-13.0, 20.5, 24.5),
        Structure.CEREBELLAR_WHITE: (-31.0, 51.0, 17.0),
        Structure.CEREBELLAR_CORTEX: (-32.0, 58.0, 22.0),
    }
)
"""Centroids (up, back, lateral) in standard mm of the left one of each pair."""

WHITE_MATTER_REACH_MM = ((-25.0, 56.0), (-49.0, 82.0), (-51.5, 51.5))
"""2nd and 98th percentile of cerebral white matter in standard mm, along up, back and left."""

REACH_PERCENTILES = (2.0, 98.0)

STRETCH_LIMITS = (0.8, 1.25)
"""No axis of a head differs more from the others; beyond this the labels are wrong."""

SUBSAMPLING = 2
"""Landmarks are centroids of every second voxel along each axis."""

MINIMUM_LANDMARKS = 2
"""White matter or another pair, and one on the midline: three points tell a pose."""

_FITS = 3
"""Sides are told apart by the plane of the fit before; the third fit changes nothing any more."""


@dataclass(frozen=True, eq=False)
class HeadFrame:
    """Affine map from standard mm to a head's voxel indices.

    Standard mm are (up, back, left) from the origin of MNI152, about the size of its brain.

    Parameters
    ----------
    matrix
        3 x 3, from standard mm to voxels.
    origin_kji
        Index of the standard origin.
    """

    matrix: NDArray[np.float64]
    origin_kji: NDArray[np.float64]

    def to_index(self, standard_mm: Points) -> Points:
        """Map (..., 3) standard mm to fractional indices."""
        return np.asarray(np.asarray(standard_mm, dtype=np.float64) @ self.matrix.T + self.origin_kji)

    def to_standard(self, index_kji: Points) -> Points:
        """Map (..., 3) indices to standard mm."""
        offset = np.asarray(index_kji, dtype=np.float64) - self.origin_kji
        return np.asarray(offset @ np.linalg.inv(self.matrix).T)

    @property
    def axes(self) -> Points:
        """Rows are the unit vectors of up, back and left in indices."""
        return np.asarray((self.matrix / np.linalg.norm(self.matrix, axis=0)).T)


def fit_head_frame(labels_kji: NDArray[np.uint8]) -> HeadFrame:
    """Fit standard mm to the deep structures of a head, then to the size of its brain.

    Parameters
    ----------
    labels_kji
        ``Structure`` of each 1 mm voxel; k towards Superior, j towards Posterior, i towards Left.

    Raises
    ------
    InvalidInput
        Too few of the landmarks are labelled.
    """
    clouds = _clouds(labels_kji)
    frame = HeadFrame(np.eye(3), np.mean([cloud.mean(axis=0) for cloud in clouds.values()], axis=0))
    for _ in range(_FITS):
        standard, index = _landmark_pairs(clouds, frame)
        frame = _similarity(standard, index)
    return _stretch(frame, clouds)


def _clouds(labels_kji: NDArray[np.uint8]) -> dict[Structure, Points]:
    step = SUBSAMPLING
    sparse = labels_kji[::step, ::step, ::step]
    wanted = (*MEDIAN_LANDMARKS, *PAIRED_LANDMARKS)
    clouds = {s: step * np.argwhere(sparse == s).astype(np.float64) for s in wanted}
    found = {s: cloud for s, cloud in clouds.items() if len(cloud) > 1}
    if len(found) < MINIMUM_LANDMARKS:
        names = ", ".join(s.name for s in found) or "none"
        raise InvalidInput(f"the head has {names} to tell its pose, expected {MINIMUM_LANDMARKS} structures")
    return found


def _landmark_pairs(clouds: dict[Structure, Points], frame: HeadFrame) -> tuple[Points, Points]:
    standard: list[tuple[float, float, float]] = []
    index: list[Points] = []
    for structure, cloud in clouds.items():
        if structure in MEDIAN_LANDMARKS:
            standard.append((*MEDIAN_LANDMARKS[structure], 0.0))
            index.append(cloud.mean(axis=0))
            continue
        up, back, lateral = PAIRED_LANDMARKS[structure]
        left = frame.to_standard(cloud)[:, 2] > 0
        for side, members in ((1, cloud[left]), (-1, cloud[~left])):
            if len(members):
                standard.append((up, back, side * lateral))
                index.append(members.mean(axis=0))
    return np.array(standard), np.array(index)


def _similarity(standard: Points, index: Points) -> HeadFrame:
    """Turn, scale and move one set of points onto the other by least squares (Umeyama 1991)."""
    centre, target = standard.mean(axis=0), index.mean(axis=0)
    u, strengths, vt = np.linalg.svd((index - target).T @ (standard - centre))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = float((strengths * signs).sum() / ((standard - centre) ** 2).sum())
    matrix = scale * (u * signs) @ vt
    return HeadFrame(matrix, target - matrix @ centre)


def _stretch(frame: HeadFrame, clouds: dict[Structure, Points]) -> HeadFrame:
    """Scale each axis about the deep structures so far that white matter reaches as far as it should."""
    if Structure.WHITE_MATTER not in clouds:
        return frame
    reach = np.percentile(frame.to_standard(clouds[Structure.WHITE_MATTER]), REACH_PERCENTILES, axis=0)
    expected = np.array(WHITE_MATTER_REACH_MM)
    factors = np.clip((reach[1] - reach[0]) / (expected[:, 1] - expected[:, 0]), *STRETCH_LIMITS)
    pivot = np.array([-5.0, 11.0, 0.0])
    matrix = frame.matrix * factors
    return HeadFrame(matrix, frame.to_index(pivot) - matrix @ pivot)

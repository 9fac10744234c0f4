"""LesionProbability -> Findings: threshold, components, measures on the T1-post grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import Defect
from core.geometry import Grid
from core.lesion import Lesion
from worker.ensemble import LesionProbability
from worker.filling import fill_lesions
from worker.measures import Size, measure
from worker.model_set import OperatingPoint

CONNECTIVITY_26 = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a corner belong to one lesion."""

CONTEXT_VOXELS = 2
"""Analysis voxels looked at around a component: linear interpolation reaches one, rounding one more."""

Identify = Callable[[int], tuple[str, str]]
"""Lesion number -> tracking id and tracking UID."""


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


@dataclass(frozen=True, eq=False)
class _Component:
    """One connected component on the analysis grid.

    ``box`` is where it lies, with ``CONTEXT_VOXELS`` around; ``label`` its value in the label map.
    """

    label: int
    box: tuple[slice, ...]
    mean_probability: float
    peak_probability: float
    members_agreeing: int


@dataclass(frozen=True, eq=False)
class _Candidates:
    """T1-post voxels near one component that could belong to it, with the probability there."""

    index_kji: NDArray[np.int64]
    probability: NDArray[np.float32]
    distance_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Outlined:
    """A component with its voxels on the T1-post grid."""

    component: _Component
    index_kji: NDArray[np.int64]
    size: Size


def find_lesions(
    probability: LesionProbability, source_grid: Grid, operating_point: OperatingPoint, identify: Identify
) -> Findings:
    """Turn probabilities into numbered, measured lesions; none is dropped on the way to the T1-post grid.

    Parameters
    ----------
    probability
        On the analysis grid.
    source_grid
        The T1-post grid, on which lesions are outlined and measured.
    operating_point
        Threshold, and voxels of the smallest component on the analysis grid.
    identify
        Gives the lesion with a number its tracking id and UID.
    """
    threshold = operating_point.threshold
    labels_kji = _label(probability, threshold)
    components = _describe(probability, labels_kji, operating_point)
    outlines = _outline(components, labels_kji, probability, source_grid, threshold)
    outlined = [
        _Outlined(component, index_kji, measure(index_kji, source_grid))
        for component, index_kji in zip(components, outlines, strict=True)
    ]
    return _number(sorted(outlined, key=_largest_first), source_grid, len(probability.member_names), identify)


def _label(probability: LesionProbability, threshold: float) -> NDArray[np.int32]:
    above = (probability.mean_kji >= np.float32(threshold)) & probability.brain_mask_kji
    labels, _ = ndimage.label(above, structure=CONNECTIVITY_26, output=np.int32)
    return np.asarray(labels)


def _describe(
    probability: LesionProbability, labels_kji: NDArray[np.int32], operating_point: OperatingPoint
) -> list[_Component]:
    sizes = np.bincount(labels_kji.ravel())
    return [
        _describe_one(probability, labels_kji, label, box, operating_point.threshold)
        for label, box in enumerate(ndimage.find_objects(labels_kji), start=1)
        if sizes[label] >= operating_point.minimum_component_voxels
    ]


def _describe_one(
    probability: LesionProbability,
    labels_kji: NDArray[np.int32],
    label: int,
    box: tuple[slice, ...],
    threshold: float,
) -> _Component:
    inside = labels_kji[box] == label
    values = probability.mean_kji[box][inside]
    peaks = [float(member[box][inside].max()) for member in probability.members_kji]
    return _Component(
        label=label,
        box=_widen(box, labels_kji.shape),
        mean_probability=float(values.mean(dtype=np.float64)),
        peak_probability=float(values.max()),
        members_agreeing=sum(peak >= threshold for peak in peaks),
    )


def _widen(box: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(s.start - CONTEXT_VOXELS, 0), min(s.stop + CONTEXT_VOXELS, n))
        for s, n in zip(box, shape, strict=True)
    )


def _outline(
    components: Sequence[_Component],
    labels_kji: NDArray[np.int32],
    probability: LesionProbability,
    source_grid: Grid,
    threshold: float,
) -> list[NDArray[np.int64]]:
    """Return each component's voxels on the T1-post grid, every voxel in one component at most."""
    candidates = [_candidates(c, labels_kji, probability, source_grid) for c in components]
    outlines = [c.index_kji[c.probability >= np.float32(threshold)] for c in candidates]
    taken = np.zeros(source_grid.shape_kji, dtype=np.bool_)
    for outline in outlines:
        taken[tuple(outline.T)] = True
    for n, outline in enumerate(outlines):
        if len(outline) == 0:
            # Thick slices can pass a small lesion by: it keeps the one voxel that shows most of it.
            outlines[n] = _best_free_voxel(candidates[n], taken)
            taken[tuple(outlines[n].T)] = True
    return outlines


def _candidates(
    component: _Component,
    labels_kji: NDArray[np.int32],
    probability: LesionProbability,
    source_grid: Grid,
) -> _Candidates:
    """Interpolate the probability at the T1-post voxels whose nearest component is this one."""
    origin = np.array([s.start for s in component.box])
    labels = labels_kji[component.box]
    index_kji = _source_indices(component.box, probability.grid, source_grid)
    local = probability.grid.to_index_kji(source_grid.to_lps_mm(index_kji)) - origin
    nearest_voxel = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    voxel = np.clip(np.rint(local).astype(np.int64), 0, np.array(labels.shape) - 1)
    owner = labels[tuple(nearest_voxel[(slice(None), *voxel.T)])]
    mine = owner == component.label
    mean = np.where(probability.brain_mask_kji[component.box], probability.mean_kji[component.box], 0)
    values = ndimage.map_coordinates(mean, local[mine].T, order=1, mode="constant")
    body = np.argwhere(labels == component.label)
    distance_mm = np.linalg.norm(local[mine] - body.mean(axis=0), axis=1) * probability.grid.spacing_kji_mm[0]
    return _Candidates(index_kji[mine], values.astype(np.float32), distance_mm)


def _source_indices(box: tuple[slice, ...], grid: Grid, source_grid: Grid) -> NDArray[np.int64]:
    """List the T1-post voxels around a box of the analysis grid, one voxel more on every side."""
    edges = np.array([(s.start - 0.5, s.stop - 0.5) for s in box])
    corners = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, 3)
    reached = source_grid.to_index_kji(grid.to_lps_mm(corners))
    limit = np.array(source_grid.shape_kji) - 1
    first = np.clip(np.floor(reached.min(axis=0)).astype(np.int64), 0, limit)
    last = np.clip(np.ceil(reached.max(axis=0)).astype(np.int64), 0, limit)
    ranges = [np.arange(low, high + 1) for low, high in zip(first, last, strict=True)]
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)


def _best_free_voxel(candidates: _Candidates, taken: NDArray[np.bool_]) -> NDArray[np.int64]:
    order = np.lexsort((candidates.distance_mm, -candidates.probability))
    ranked = candidates.index_kji[order]
    free = ranked[~taken[tuple(ranked.T)]]
    if len(free) == 0:
        raise Defect(f"no T1-post voxel is left for a lesion among {len(ranked)} candidates, expected one")
    return np.asarray(free[:1])


def _largest_first(outlined: _Outlined) -> tuple[float | int, ...]:
    size = outlined.size
    return (-size.volume_mm3, size.slice_index_k, *size.centroid_lps_mm)


def _number(
    outlined: Sequence[_Outlined], source_grid: Grid, members_total: int, identify: Identify
) -> Findings:
    label_map_kji = np.zeros(source_grid.shape_kji, dtype=np.uint16)
    for number, lesion in enumerate(outlined, start=1):
        label_map_kji[tuple(lesion.index_kji.T)] = number
    filled_voxels = np.bincount(fill_lesions(label_map_kji).ravel(), minlength=len(outlined) + 1)
    lesions = [
        _lesion(number, lesion, filled_voxels[number] * source_grid.voxel_volume_mm3, members_total, identify)
        for number, lesion in enumerate(outlined, start=1)
    ]
    return Findings(label_map_kji, source_grid, tuple(lesions))


def _lesion(
    number: int, outlined: _Outlined, filled_volume_mm3: float, members_total: int, identify: Identify
) -> Lesion:
    tracking_id, tracking_uid = identify(number)
    size, component = outlined.size, outlined.component
    return Lesion(
        number=number,
        tracking_id=tracking_id,
        tracking_uid=tracking_uid,
        volume_mm3=size.volume_mm3,
        filled_volume_mm3=float(filled_volume_mm3),
        centroid_lps_mm=size.centroid_lps_mm,
        extent_min_lps_mm=size.extent_min_lps_mm,
        extent_max_lps_mm=size.extent_max_lps_mm,
        longest_diameter_mm=size.longest_diameter_mm,
        slice_index_k=size.slice_index_k,
        long_axis=size.long_axis,
        short_axis=size.short_axis,
        mean_probability=component.mean_probability,
        peak_probability=component.peak_probability,
        members_agreeing=component.members_agreeing,
        members_total=members_total,
    )

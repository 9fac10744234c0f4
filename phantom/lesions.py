"""Lesions of known volume and place: star-shaped bodies whose volume is an integral, not a voxel count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.geometry import Grid
from core.study import Vector
from phantom.fields import Floats, Points, sample_at
from phantom.head import Head
from phantom.star import StarBody, even_directions, random_star

SIZE_BOUNDARY_MM = 6.0
"""Equivalent diameter that parts large from small lesions (113 mm3), as published figures do."""

LARGE_DIAMETER_MM, SMALL_DIAMETER_MM = (6.8, 19.0), (3.0, 5.6)
"""Ranges of the equivalent diameter; large ones are mostly near the lower end (log-normal)."""

LARGE_MEDIAN_MM, LARGE_SPREAD = 9.0, 0.35
RING_FROM_MM, RING_SHARE = 11.0, 0.6
"""Necrosis occurs from this diameter on, in this share of the lesions."""

CONTRAST_MEDIAN, CONTRAST_SPREAD, CONTRAST_RANGE = 0.60, 0.22, (0.35, 1.1)
"""Enhancement over the lesion's own T1 signal, in units of white matter: 0.25 mM of gadolinium at 3 T."""

LESION_T1, CORE_T1 = (0.56, 0.70), 0.36
"""Signal before contrast: like grey matter or a little darker; necrosis nearly like CSF."""

TEXTURE = 0.07
"""Relative standard deviation of the enhancement within a lesion."""

GAP_MM = 3.0
"""Least distance between two lesions' surfaces."""

DEPTH_MARGIN_MM = 1.0
"""Least distance from a lesion's surface to the brain's: the truth lies within the brain."""

LEAST_MEAN_TISSUE, LEAST_TISSUE = 0.75, 0.3
"""Least mean and least single fraction of brain tissue within a lesion: it spans no ventricle, no fissure."""

SUB_VOXEL_SHARE, SUB_VOXEL_MM = 0.06, (0.2, 0.34)
"""Edge of the sub-voxels a lesion is rasterised with: a share of its diameter within these bounds."""

PLACEMENT_ATTEMPTS = 6000


class LesionKind(StrEnum):
    """What a lesion looks like after contrast."""

    SOLID = "solid"
    RING = "ring"
    """Enhancing wall around a necrotic core."""


@dataclass(frozen=True, slots=True)
class LesionTruth:
    """What is known of an inserted lesion; its number is its value in the label map.

    Parameters
    ----------
    number
        1..n, largest enhancing volume first.
    kind
        Solid or ring.
    centroid_lps_mm
        Of the enhancing part, in the frame of T1-post.
    volume_mm3
        Of the enhancing part: the reference volume.
    filled_volume_mm3
        With the necrotic core.
    equivalent_diameter_mm
        Diameter of the sphere of ``volume_mm3``.
    contrast
        Enhancement relative to the signal of white matter before contrast.
    """

    number: int
    kind: LesionKind
    centroid_lps_mm: Vector
    volume_mm3: float
    filled_volume_mm3: float
    equivalent_diameter_mm: float
    contrast: float


@dataclass(frozen=True, eq=False)
class PlacedLesion:
    """A lesion as it is painted: its outer body, the core's share of the radius, its signals."""

    truth: LesionTruth
    body: StarBody
    core_share: float
    signal_t1: float
    reach_mm: float


@dataclass(frozen=True, eq=False)
class LesionFractions:
    """Shares of the voxels in a box that are enhancing wall and necrotic core.

    Parameters
    ----------
    box
        Slices into the grid.
    enhancing, core
        float32 with the box's shape, 0..1.
    """

    box: tuple[slice, slice, slice]
    enhancing: Floats
    core: Floats


def place_lesions(
    head: Head, blocked: Floats, large: int, small: int, rng: np.random.Generator
) -> tuple[PlacedLesion, ...]:
    """Lay lesions into brain tissue, mostly at the grey-white junction, largest first.

    Parameters
    ----------
    head
        The anatomy.
    blocked
        On the head's grid: where no lesion may lie (the venous sinuses).
    large, small
        How many with an equivalent diameter above and below 6 mm.

    Raises
    ------
    InvalidInput
        The brain has no room for that many.
    """
    diameters = sorted([*_large_diameters(large, rng), *rng.uniform(*SMALL_DIAMETER_MM, small)], reverse=True)
    candidates = _candidate_indices(head, rng)
    bodies: list[tuple[StarBody, float, float]] = []
    cursor = 0
    for diameter in diameters:
        shape, reach = random_star(diameter, rng)
        cursor = _next_free(head, blocked, candidates, cursor, reach, bodies)
        centre = head.grid.to_lps_mm(candidates[cursor % len(candidates)])
        bodies.append((replace(shape, centre_lps_mm=centre), reach, diameter))
    lesions = [_lesion(body, reach, diameter, rng) for body, reach, diameter in bodies]
    return _numbered(lesions)


def rasterise(
    lesion: PlacedLesion, grid: Grid, to_t1_post_lps: NDArray[np.float64] | None = None
) -> LesionFractions | None:
    """Return the lesion's share of each voxel of a grid, None where it lies outside.

    Parameters
    ----------
    lesion
        In the frame of T1-post.
    grid
        Any grid.
    to_t1_post_lps
        4 x 4 from the grid's LPS to T1-post's; identity by default.
    """
    to_post = np.eye(4) if to_t1_post_lps is None else to_t1_post_lps
    affine = to_post @ grid.affine_kji_to_lps_mm
    box = _box(lesion, Grid(grid.shape_kji, affine))
    if any(s.stop <= s.start for s in box):
        return None
    edge_mm = np.clip(SUB_VOXEL_SHARE * 2 * lesion.reach_mm, *SUB_VOXEL_MM)
    counts = np.ceil(np.array(grid.spacing_kji_mm) / edge_mm).astype(int)
    steps = [_sub_positions(s, n) for s, n in zip(box, counts, strict=True)]
    index = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = index @ affine[:3, :3].T + affine[:3, 3] - lesion.body.centre_lps_mm
    distance = np.linalg.norm(offsets, axis=1)
    relative = np.where(distance < 1e-6, 0.0, np.inf)  # the very centre has no direction
    near = (distance <= lesion.reach_mm * 1.01) & (distance >= 1e-6)
    relative[near] = distance[near] / lesion.body.radius_mm(offsets[near] / distance[near][:, None])
    shape = [(s.stop - s.start, n) for s, n in zip(box, counts, strict=True)]
    cells = relative.reshape([m for pair in shape for m in pair])
    core = (cells < lesion.core_share).mean(axis=(1, 3, 5), dtype=np.float32)
    filled = (cells < 1).mean(axis=(1, 3, 5), dtype=np.float32)
    return LesionFractions(box, filled - core, core)


def _box(lesion: PlacedLesion, grid: Grid) -> tuple[slice, slice, slice]:
    centre = grid.to_index_kji(lesion.body.centre_lps_mm)
    inverse = np.linalg.inv(grid.affine_kji_to_lps_mm)[:3, :3]
    reach = lesion.reach_mm * np.linalg.norm(inverse, axis=1) + 1
    first = np.maximum(np.floor(centre - reach), 0).astype(int)
    stop = np.minimum(np.ceil(centre + reach) + 1, grid.shape_kji).astype(int)
    return slice(first[0], stop[0]), slice(first[1], stop[1]), slice(first[2], stop[2])


def _sub_positions(extent: slice, count: int) -> Points:
    within = (np.arange(count) + 0.5) / count - 0.5
    return (np.arange(extent.start, extent.stop)[:, None] + within).ravel()


def _large_diameters(count: int, rng: np.random.Generator) -> Points:
    drawn = LARGE_MEDIAN_MM * np.exp(LARGE_SPREAD * rng.standard_normal(count))
    return np.clip(drawn, *LARGE_DIAMETER_MM)


def _candidate_indices(head: Head, rng: np.random.Generator) -> Points:
    """Draw voxels of brain tissue, four of five at the grey-white junction, in random order."""
    tissue = np.flatnonzero(head.brain_mask & (head.grey + head.white > 0.8))  # hardly any CSF
    if not tissue.size:
        raise InvalidInput("the head has no brain tissue to lay lesions into, expected grey and white matter")
    junction = np.cumsum((head.grey * head.white).ravel()[tissue], dtype=np.float64)
    at_junction = rng.uniform(0, junction[-1], 4 * PLACEMENT_ATTEMPTS // 5)
    anywhere = rng.integers(tissue.size, size=PLACEMENT_ATTEMPTS // 5)
    drawn = np.concatenate([np.searchsorted(junction, at_junction, side="right"), anywhere])
    chosen = tissue[rng.permutation(np.minimum(drawn, tissue.size - 1))]
    return np.stack(np.unravel_index(chosen, head.grid.shape_kji), axis=1).astype(np.float64)


def _next_free(
    head: Head,
    blocked: Floats,
    candidates: Points,
    cursor: int,
    reach_mm: float,
    bodies: list[tuple[StarBody, float, float]],
) -> int:
    for step in range(len(candidates)):
        index = candidates[(cursor + step) % len(candidates)]
        if _is_free(head, blocked, index, reach_mm, bodies):
            return cursor + step
    raise InvalidInput(
        f"no room for lesion {len(bodies) + 1} of radius {reach_mm:.1f} mm in this brain; ask for fewer"
    )


def _is_free(
    head: Head, blocked: Floats, index: Points, reach_mm: float, bodies: list[tuple[StarBody, float, float]]
) -> bool:
    centre = head.grid.to_lps_mm(index)
    for body, other_reach, _ in bodies:
        if np.linalg.norm(body.centre_lps_mm - centre) < reach_mm + other_reach + GAP_MM:
            return False
    ball = head.grid.to_index_kji(centre + reach_mm * even_directions(60) * 1.05)
    if sample_at(head.brain_distance_mm, ball).max() > -DEPTH_MARGIN_MM:
        return False
    inner = head.grid.to_index_kji(centre + 0.6 * reach_mm * even_directions(60))
    tissue = sample_at(head.grey, inner) + sample_at(head.white, inner)
    mask = sample_at(head.brain_mask[_around(index, head)].astype(np.float32), ball - _corner(index, head))
    if tissue.mean() < LEAST_MEAN_TISSUE or tissue.min() < LEAST_TISSUE:
        return False
    return bool(mask.min() > 0.99 and sample_at(blocked, ball).max() < 0.1)


def _around(index: Points, head: Head) -> tuple[slice, ...]:
    """Box of 32 voxels around an index: larger than any lesion."""
    return tuple(
        slice(max(int(n) - 32, 0), min(int(n) + 33, size))
        for n, size in zip(index, head.grid.shape_kji, strict=True)
    )


def _corner(index: Points, head: Head) -> Points:
    return np.array([s.start for s in _around(index, head)], dtype=np.float64)


def _lesion(body: StarBody, reach_mm: float, diameter_mm: float, rng: np.random.Generator) -> PlacedLesion:
    is_ring = diameter_mm >= RING_FROM_MM and rng.random() < RING_SHARE
    core_share = float(rng.uniform(0.45, 0.75)) if is_ring else 0.0
    filled_mm3 = float(np.pi / 6 * diameter_mm**3)
    enhancing_mm3 = filled_mm3 * (1 - core_share**3)
    contrast = np.clip(CONTRAST_MEDIAN * np.exp(CONTRAST_SPREAD * rng.standard_normal()), *CONTRAST_RANGE)
    centroid = body.centre_lps_mm + body.wall_centroid_offset_mm(core_share)
    truth = LesionTruth(
        number=0,
        kind=LesionKind.RING if is_ring else LesionKind.SOLID,
        centroid_lps_mm=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
        volume_mm3=enhancing_mm3,
        filled_volume_mm3=filled_mm3,
        equivalent_diameter_mm=equivalent_diameter_mm(enhancing_mm3),
        contrast=float(contrast),
    )
    return PlacedLesion(truth, body, core_share, float(rng.uniform(*LESION_T1)), reach_mm)


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Return the diameter of the sphere of a volume."""
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def _numbered(lesions: list[PlacedLesion]) -> tuple[PlacedLesion, ...]:
    ordered = sorted(lesions, key=lambda lesion: -lesion.truth.volume_mm3)
    return tuple(
        replace(lesion, truth=replace(lesion.truth, number=number))
        for number, lesion in enumerate(ordered, start=1)
    )

"""Enhancement that is not a lesion: venous sinuses, arteries, cortical veins, choroid plexus, dura.

Landmarks are MNI152 millimetres (x right, y anterior, z superior); sinuses are pulled onto the inner
surface of this head's skull, cortical veins onto its brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from phantom.fields import (
    Floats,
    Points,
    Shape,
    paint_tube_fractions,
    refine,
    sample_at,
    smooth_noise,
)
from phantom.head import Head

BLOOD_T1 = 0.50
"""Blood before contrast relative to white matter."""

BLOOD_POST = (1.45, 1.95)
"""Blood after 0.1 mmol/kg, from 1.5 T to 3 T; the steady state without flow is the upper end."""

FLOW_LOSS = 0.18
"""Standard deviation of the signal's slow change along the sinuses: flow takes some away, unevenly."""

PLEXUS_POST, PITUITARY_POST, DURA_POST = 1.50, 1.55, 1.15
"""Choroid plexus, pituitary and dura after contrast (dura: thinner than a voxel, hence below its 1.66)."""

SINUS_HEIGHT_MM = 1.5
"""Sinuses run in the dura: this far outside the brain's surface."""

CORTICAL_VEINS = 34
"""Veins that run over the brain to the sagittal sinus: what a T1-post shows of some hundred."""

SULCAL_VESSELS = 40
"""Short vessels that dive into sulci; in one slice they look like small lesions."""

CORTICAL_RADIUS_MM, SULCAL_RADIUS_MM = (0.45, 1.4), (0.4, 1.0)

POINT_STEP = 0.5
"""Distance between the spheres strung along a tube, in radii: the tube's wall stays smooth."""

Path = tuple[tuple[float, float, float], ...]

TRANSVERSE_SIGMOID: Path = (
    (0, -99, -10), (22, -96, -16), (44, -82, -20),
    (58, -64, -22), (60, -48, -30), (52, -44, -46), (36, -44, -60),
)  # fmt: skip
STRAIGHT: Path = ((0, -40, 4), (0, -58, 2), (0, -76, -3), (0, -95, -9))
INTERNAL_CEREBRAL: Path = ((2, -8, 14), (2, -24, 13), (1, -36, 6), (0, -42, 4))
CAROTID: Path = (
    (24, -20, -78), (22, -18, -52), (18, -10, -38), (13, -8, -30), (12, 4, -30), (13, 6, -22), (14, 2, -15),
)  # fmt: skip
MIDDLE_CEREBRAL: Path = ((14, 2, -15), (26, 2, -17), (37, 4, -12), (43, -4, -2), (44, -18, 8), (48, -34, 14))
ANTERIOR_CEREBRAL: Path = (
    (14, 2, -15), (5, 14, -16), (3, 30, -10), (3, 42, 2), (3, 34, 22), (3, 14, 34), (3, -12, 42),
)  # fmt: skip
BASILAR: Path = ((0, -26, -60), (0, -18, -50), (0, -13, -38), (0, -13, -20))
POSTERIOR_CEREBRAL: Path = ((0, -13, -20), (14, -18, -18), (23, -30, -10), (18, -50, -4), (11, -70, 0))

ARTERIES: tuple[tuple[Path, float], ...] = (
    (CAROTID, 2.0), (MIDDLE_CEREBRAL, 1.2), (ANTERIOR_CEREBRAL, 1.0), (POSTERIOR_CEREBRAL, 1.0),
)  # fmt: skip
"""(path of the right one, radius in mm); the left one is its mirror image."""

PLEXUS: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((24, -40, 8), 3.6), ((26, -36, 0), 2.4), ((19, -38, 16), 2.2), ((4, -44, -34), 2.2),
)  # fmt: skip
"""(centre, radius in mm) of the right choroid plexus: trigone, temporal horn, body, fourth ventricle."""


@dataclass(frozen=True, eq=False)
class ContrastAnatomy:
    """How much of each voxel of the head takes up contrast without being a lesion.

    Parameters
    ----------
    sinus, vessel, gland, dura
        float32 on the head's grid, 0..1.
    blood_post
        Signal of enhanced blood on the head's grid, relative to white matter.
    """

    sinus: Floats
    vessel: Floats
    gland: Floats
    dura: Floats
    blood_post: Floats


def grow_vessels(head: Head, rng: np.random.Generator) -> ContrastAnatomy:
    """Grow this head's sinuses, vessels, plexus and enhancing dura."""
    shape = head.grid.shape_kji
    canvas = TubeCanvas(head)
    slow = refine(smooth_noise(rng, _half(shape), 10), 2, shape)
    blood = rng.uniform(*BLOOD_POST) * np.exp(FLOW_LOSS * np.minimum(slow, 0.5))
    sinus = canvas.paint(_sinus_tubes(head, rng))
    vessel = canvas.paint([*_artery_tubes(rng), *_vein_tubes(head, rng), *_sulcal_tubes(head, rng)])
    return ContrastAnatomy(
        sinus=sinus,
        vessel=vessel,
        gland=canvas.paint(_gland_tubes(rng)),
        dura=_enhancing_dura(head, slow),
        blood_post=blood.astype(np.float32),
    )


def add_blood(head: Head, contrast: ContrastAnatomy) -> tuple[Floats, Floats]:
    """Return the head's T1 and T1-post signals with vessels, glands and dura in them."""
    t1 = _cover(_cover(head.t1, contrast.sinus, BLOOD_T1), contrast.vessel, BLOOD_T1)
    post = _cover(head.t1_post, contrast.dura, DURA_POST)
    post = _cover(post, contrast.gland, PLEXUS_POST)
    post = _cover(post, contrast.sinus, contrast.blood_post)
    return t1, _cover(post, contrast.vessel, contrast.blood_post)


@dataclass(frozen=True, eq=False)
class Tube:
    """A path in MNI mm, (n, 3), with its radius in mm at every point, (n,)."""

    path_ras_mm: Points
    radii_mm: Points


class TubeCanvas:
    """Paints tubes given in MNI mm onto one head's grid."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._spacing_mm = float(np.mean(head.grid.spacing_kji_mm))

    def paint(self, tubes: list[Tube]) -> Floats:
        """Return the fraction of each voxel inside any of the tubes."""
        points = self._head.mni_to_index_kji(np.concatenate([tube.path_ras_mm for tube in tubes]))
        radii = np.concatenate([tube.radii_mm for tube in tubes]) / self._spacing_mm
        return paint_tube_fractions(self._head.grid.shape_kji, points, radii)


def _cover(signal: Floats, fraction: Floats, covering: Floats | float) -> Floats:
    return np.asarray(signal + fraction * (covering - signal), dtype=np.float32)


def _tube(path: Points, radius_mm: float, rng: np.random.Generator, irregularity: float = 0.12) -> Tube:
    """Lay points densely along a path, with a radius that wanders."""
    path = np.asarray(path, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    count = int(lengths[-1] / max(POINT_STEP * radius_mm, 0.3)) + 2
    stations = np.linspace(0, lengths[-1], count)
    dense = np.stack([np.interp(stations, lengths, path[:, axis]) for axis in range(3)], axis=1)
    smoothing = max(count / lengths[-1] * 2.0, 1e-3)  # rounds corners over about 2 mm
    dense = ndimage.gaussian_filter1d(dense, smoothing, axis=0, mode="nearest")
    wander = ndimage.gaussian_filter1d(rng.standard_normal(count), 3 * smoothing, mode="nearest")
    wander /= max(float(wander.std()), 1e-6)
    return Tube(dense, radius_mm * np.clip(1 + irregularity * wander, 0.5, 1.5))


def _sinus_tubes(head: Head, rng: np.random.Generator) -> list[Tube]:
    tubes = [_tube(np.array(STRAIGHT), rng.uniform(1.8, 2.5), rng)]
    sagittal = _sagittal_path(head)
    for offset in (-1.6, 0.0, 1.6):  # three strands give the triangular cross-section
        strand = sagittal + np.array([offset, 0, 0])
        tapered = _tube(strand, rng.uniform(1.8, 2.6), rng, 0.2)
        growth = np.linspace(0.45, 1.25, len(tapered.radii_mm))
        tubes.append(Tube(tapered.path_ras_mm, tapered.radii_mm * growth))
    right_radius = rng.uniform(2.8, 4.2)
    for side, radius in ((1, right_radius), (-1, right_radius * rng.uniform(0.5, 0.9))):
        path = np.array(TRANSVERSE_SIGMOID) * [side, 1, 1]
        dense = _tube(path, radius, rng, 0.2)
        tubes.append(Tube(_onto_brain(head, dense.path_ras_mm, SINUS_HEIGHT_MM), dense.radii_mm))
    confluence = _onto_brain(head, np.array([[0, -99, -10], [2, -98, -13]]), SINUS_HEIGHT_MM)
    tubes.append(_tube(confluence, rng.uniform(3.5, 5.0), rng))
    return tubes


def _sagittal_path(head: Head) -> Points:
    """Midline from the forehead over the vertex to the confluence, on the inner table."""
    angle = np.deg2rad(np.arange(8, 196, 3.0))
    rays = np.stack([np.zeros_like(angle), np.cos(angle), np.sin(angle)], axis=1)
    start = np.array([0.0, -15.0, 10.0]) + 80 * rays
    return _onto_brain(head, start, SINUS_HEIGHT_MM)


def _onto_brain(head: Head, path: Points, height_mm: float) -> Points:
    """Move points along the gradient of the distance to the brain until they lie at a height."""
    path = np.array(path, dtype=np.float64)
    steps = 1.5 * np.eye(3)  # mm, for the central difference
    for _ in range(8):  # converges in three or four
        gap = height_mm - sample_at(head.brain_distance_mm, head.mni_to_index_kji(path))
        sides = [
            sample_at(head.brain_distance_mm, head.mni_to_index_kji(path + sign * step))
            for step in steps
            for sign in (1, -1)
        ]
        gradient = np.stack([sides[0] - sides[1], sides[2] - sides[3], sides[4] - sides[5]], axis=1)
        norm = np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-3)
        path += np.clip(gap, -6, 6)[:, None] * gradient / norm
    return path


def _artery_tubes(rng: np.random.Generator) -> list[Tube]:
    tubes = [_tube(np.array(BASILAR), 1.6, rng)]
    for path, radius in (*ARTERIES, (INTERNAL_CEREBRAL, 0.9)):
        for side in (1, -1):
            jitter = rng.normal(0, 0.8, (len(path), 3))
            jitter[[0, -1]] = 0
            tubes.append(
                _tube((np.array(path) + jitter) * [side, 1, 1], radius * rng.uniform(0.85, 1.15), rng)
            )
    return tubes


def _vein_tubes(head: Head, rng: np.random.Generator) -> list[Tube]:
    """Veins from the convexity up to the sagittal sinus, winding over the brain's surface."""
    tubes = []
    for _ in range(CORTICAL_VEINS):
        side = rng.choice([-1, 1])
        y = rng.uniform(-95, 55)
        start = np.array([side * rng.uniform(35, 68), y + rng.uniform(-25, 25), rng.uniform(-5, 45)])
        end = np.array([side * 2.0, y, 70.0])
        fraction = np.linspace(0, 1, 24)[:, None]
        winding = ndimage.gaussian_filter1d(rng.normal(0, 1, (24, 3)), 1.5, axis=0) * 9
        path = _onto_brain(head, start + fraction * (end - start) + winding, rng.uniform(-1.0, 0.3))
        tubes.append(_tube(path, _log_uniform(rng, CORTICAL_RADIUS_MM), rng))
    return tubes


def _sulcal_tubes(head: Head, rng: np.random.Generator) -> list[Tube]:
    """Vessels that dive from the surface a little way inwards, as into a sulcus."""
    directions = rng.normal(0, 1, (SULCAL_VESSELS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    surface = _onto_brain(head, np.array([0.0, -18.0, 12.0]) + 62 * directions, -0.5)
    tubes = []
    for point, direction in zip(surface, directions, strict=True):
        depth = np.linspace(0, rng.uniform(6, 20), 12)[:, None]
        winding = np.cumsum(rng.normal(0, 0.5, (12, 3)), axis=0)
        tubes.append(_tube(point - depth * direction + winding, _log_uniform(rng, SULCAL_RADIUS_MM), rng))
    return tubes


def _gland_tubes(rng: np.random.Generator) -> list[Tube]:
    """Choroid plexus as clusters of small lobules, pituitary as one short thick tube."""
    tubes = [_tube(np.array([[-3.5, 1, -36], [3.5, 1, -36]]), 3.2, rng)]
    for centre, radius in PLEXUS:
        for side in (1, -1):
            lobules = np.array(centre) * [side, 1, 1] + rng.normal(0, 0.6 * radius, (7, 3))
            tubes.append(_tube(lobules, radius * rng.uniform(0.35, 0.55), rng))
    return tubes


def _enhancing_dura(head: Head, slow: Floats) -> Floats:
    """Thin, interrupted rim on the inner table and falx in the midline, as fractions of a voxel."""
    height = head.brain_distance_mm
    rim = np.clip(1 - np.abs(height - SINUS_HEIGHT_MM) / 0.9, 0, 1)
    patchy = np.clip(0.5 + 0.7 * slow, 0, 1)
    return np.asarray(0.8 * rim * patchy, dtype=np.float32)


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def _half(shape: Shape) -> Shape:
    return shape[0] // 2 + 1, shape[1] // 2 + 1, shape[2] // 2 + 1

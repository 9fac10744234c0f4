"""Tissues outside the brain, their signals, and the parts of a face, placed in MNI millimetres."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Floats

Axes = tuple[Floats, Floats, Floats]
Triple = tuple[float, float, float]


class Tissue(IntEnum):
    """What a voxel of the head is."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    MARROW = 4
    CORTICAL_BONE = 5
    MUCOSA = 6
    DURA = 7
    CSF = 8
    EYE = 9
    EYE_MUSCLE = 10
    CORD = 11
    BRAIN = 12


TISSUES: MappingProxyType[Tissue, tuple[float, float]] = MappingProxyType(
    {
        Tissue.AIR: (0.0, 0.0),
        Tissue.SKIN: (0.70, 0.85),
        Tissue.FAT: (1.45, 1.47),
        Tissue.MUSCLE: (0.62, 0.85),
        Tissue.MARROW: (1.00, 1.06),
        Tissue.CORTICAL_BONE: (0.10, 0.10),
        Tissue.MUCOSA: (0.55, 1.35),
        Tissue.DURA: (0.35, 0.40),
        Tissue.CSF: (0.20, 0.20),
        Tissue.EYE: (0.22, 0.23),
        Tissue.EYE_MUSCLE: (0.70, 1.30),
        Tissue.CORD: (0.92, 0.96),
        Tissue.BRAIN: (0.0, 0.0),
    }
)
"""Signal before and after contrast relative to white matter (T1-weighted gradient echo at 3 T). Dura is
painted with its enhancement elsewhere, where it does enhance; the brain has signals of its own."""

AIR_SINUSES: tuple[tuple[Triple, Triple], ...] = (
    ((28, 56, -68), (13, 15, 17)),  # maxillary
    ((7, 46, -40), (6, 17, 9)),  # ethmoid
    ((8, 20, -44), (8, 12, 9)),  # sphenoid
    ((11, 80, -10), (11, 5, 12)),  # frontal
)
"""(centre, radii) in MNI mm of the right one of each pair."""

EYE_CENTRE, EYE_RADIUS = (33.0, 62.0, -42.0), 13.0
ORBIT_APEX = (12.0, 18.0, -32.0)
BONE_CLEARANCE_MM = 3.0
"""Nothing of the face comes nearer to the brain than this."""


def paint_face(labels: NDArray[np.uint8], height: Floats, marbling: Floats, axes: Axes) -> None:
    """Paint jaws, orbits, eyes, air sinuses, nose and throat into the labels.

    Parameters
    ----------
    labels
        Changed in place; soft tissue is already there.
    height
        Distance to the braincase in mm.
    marbling
        Fine smooth noise, mean 0, standard deviation 1.
    axes
        z, y, x in MNI mm, ready to broadcast.
    """
    z, y, x = axes
    mirrored = (z, y, np.abs(x))
    allowed = (height > BONE_CLEARANCE_MM) & (labels > 0)
    _paint_jaws(labels, mirrored, allowed)
    _paint_orbits(labels, mirrored, allowed)
    for centre, radii in AIR_SINUSES:
        distance = ellipsoid_norm(mirrored, centre, radii)
        labels[allowed & (distance < 1.15)] = Tissue.CORTICAL_BONE
        labels[allowed & (distance < 1.05)] = Tissue.MUCOSA
        labels[allowed & (distance < 0.92)] = Tissue.AIR
    mastoid = allowed & (ellipsoid_norm(mirrored, (52, -36, -56), (11, 13, 15)) < 1)
    labels[mastoid] = Tissue.CORTICAL_BONE
    labels[mastoid & (marbling > 0.2)] = Tissue.AIR
    _paint_nose_and_throat(labels, mirrored, allowed)


def ellipsoid_norm(axes: Axes, centre: Triple, radii: Triple) -> Floats:
    """Return the distance to the centre in units of the ellipsoid's surface: 1 on it, less inside."""
    z, y, x = axes
    return np.asarray(
        np.sqrt(
            ((x - centre[0]) / radii[0]) ** 2
            + ((y - centre[1]) / radii[1]) ** 2
            + ((z - centre[2]) / radii[2]) ** 2
        ),
        dtype=np.float32,
    )


def _paint_jaws(labels: NDArray[np.uint8], mirrored: Axes, allowed: NDArray[np.bool_]) -> None:
    z, y, x = mirrored
    maxilla = allowed & (ellipsoid_norm(mirrored, (0, 48, -76), (38, 38, 16)) < 1)
    labels[maxilla] = Tissue.CORTICAL_BONE
    labels[allowed & (ellipsoid_norm(mirrored, (0, 48, -76), (35, 35, 13)) < 1)] = Tissue.MARROW
    arch = np.hypot(x / 1.15, y - 26)
    body = allowed & (z < -100) & (arch > 36) & (arch < 47) & (y > 18)
    ramus = allowed & (np.abs(x - 48) < 5) & (np.abs(y - 8) < 13) & (z < -48)
    labels[body | ramus] = Tissue.CORTICAL_BONE
    labels[body & (arch > 38) & (arch < 45)] = Tissue.MARROW
    labels[ramus & (np.abs(x - 48) < 2.5)] = Tissue.MARROW


def _paint_orbits(labels: NDArray[np.uint8], mirrored: Axes, allowed: NDArray[np.bool_]) -> None:
    """Paint a cone of fat from eye to apex, four muscles on its wall, the optic nerve along its axis."""
    level, depth = np.flatnonzero(np.abs(mirrored[0] + 40) < 32), np.flatnonzero(mirrored[1] > 12)
    box = (slice(level[0], level[-1] + 1), slice(depth[0], depth[-1] + 1))
    z, y, x = mirrored[0][box[0]], mirrored[1][:, box[1]], mirrored[2]
    labels, allowed, mirrored = labels[box], allowed[box], (z, y, x)
    eye, apex = np.array(EYE_CENTRE), np.array(ORBIT_APEX)
    along = (y - apex[1]) / (eye[1] - apex[1])
    axis_x, axis_z = apex[0] + along * (eye[0] - apex[0]), apex[2] + along * (eye[2] - apex[2])
    across_x, across_z = x - axis_x, z - axis_z
    off_axis = np.hypot(across_x, across_z)
    within = allowed & (along > 0) & (along < 1.05)
    wall = 4 + 14 * along
    labels[within & (off_axis < wall + 2)] = Tissue.CORTICAL_BONE
    labels[within & (off_axis < wall)] = Tissue.FAT
    muscles = np.minimum(np.abs(across_x), np.abs(across_z)) < 3.0
    labels[within & muscles & (np.abs(off_axis - 0.72 * wall) < 2.0)] = Tissue.EYE_MUSCLE
    labels[within & (off_axis < 3.2)] = Tissue.CSF
    labels[within & (off_axis < 2.0)] = Tissue.CORD
    distance = ellipsoid_norm(mirrored, EYE_CENTRE, (EYE_RADIUS, EYE_RADIUS, EYE_RADIUS))
    labels[allowed & (distance < 1.0)] = Tissue.SKIN
    labels[allowed & (distance < 0.9)] = Tissue.EYE
    lens = ellipsoid_norm(mirrored, (33, 70, -42), (5, 2.5, 5))
    labels[allowed & (lens < 1)] = Tissue.SKIN


def _paint_nose_and_throat(labels: NDArray[np.uint8], mirrored: Axes, allowed: NDArray[np.bool_]) -> None:
    z, y, x = mirrored
    cavity = allowed & (x < 14) & (ellipsoid_norm(mirrored, (0, 60, -62), (22, 28, 18)) < 1)
    labels[cavity] = Tissue.MUCOSA
    labels[cavity & (x < 1.2)] = Tissue.CORTICAL_BONE
    labels[cavity & (((x > 2.5) & (x < 5)) | ((x > 8) & (x < 12)))] = Tissue.AIR
    throat = allowed & (ellipsoid_norm((z, y, x), (0, 14, -90), (13, 9, 46)) < 1) & (z < -50)
    labels[throat] = Tissue.MUCOSA
    labels[allowed & (ellipsoid_norm((z, y, x), (0, 14, -90), (11, 7, 44)) < 1) & (z < -50)] = Tissue.AIR
    tongue = allowed & (ellipsoid_norm((z, y, x), (0, 44, -104), (22, 26, 15)) < 1)
    labels[tongue] = Tissue.MUSCLE

"""The public anatomy: the MNI152 (2009a, symmetric) maps that come inside the PyPI package nilearn."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from core.errors import InvalidInput
from phantom.fields import Floats, Mask, Points, refine, smooth_noise

TEMPLATE_PACKAGE = "nilearn"
_FILE_NAME = "mni_icbm152_{map}_tal_nlin_sym_09a_converted.nii.gz"
_BYTE_MAX = 255.0

TEMPLATE_LEVELS = (0.0, 65.0, 165.0, 223.0, 255.0)
"""Grey values in the template of nothing, CSF, grey matter, white matter and the brightest voxel."""

T1_SIGNALS = (0.05, 0.20, 0.66, 1.0, 1.10)
"""What those are on a spoiled gradient echo at 3 T, relative to white matter (Bloch steady state)."""

WARP_CORRELATION_MM = 32
"""Distance between the control points of the random warp: lobes move, gyri keep their shape."""

WARP_STEP = 4
"""The warp is computed at every fourth voxel and interpolated."""

WARP_SD_MM = 2.2
"""Size of the random warp: makes the symmetric average asymmetric, small enough never to fold."""


@dataclass(frozen=True, eq=False)
class Template:
    """Maps of the brain on the template's own 1 mm lattice, axes (superior, posterior, left).

    Parameters
    ----------
    t1
        T1-weighted signal relative to white matter, 0 outside the brain.
    grey, white
        Tissue fractions 0..1.
    brain_mask
        The brain with its CSF.
    origin_ras_mm
        MNI coordinates (x, y, z) of voxel (0, 0, 0).
    """

    t1: Floats
    grey: Floats
    white: Floats
    brain_mask: Mask
    origin_ras_mm: Points


def load_template(rng: np.random.Generator) -> Template:
    """Read the maps, warp them smoothly at random and bring the signal to that of one T1 scan.

    Raises
    ------
    InvalidInput
        The package that carries the maps is not installed.
    """
    folder = _template_folder()
    maps = [_read_map(folder, name) for name in ("t1", "gm", "wm")]
    box, origin = _box_around(maps[0][0], maps[0][1])
    t1, grey, white = _warp([values[box] for values, _ in maps], rng)
    return Template(
        t1=np.interp(t1, TEMPLATE_LEVELS, T1_SIGNALS).astype(np.float32),
        grey=grey / np.float32(_BYTE_MAX),
        white=white / np.float32(_BYTE_MAX),
        brain_mask=_largest_solid(t1 > TEMPLATE_LEVELS[1] / 2),
        origin_ras_mm=origin,
    )


def _template_folder() -> Path:
    spec = importlib.util.find_spec(TEMPLATE_PACKAGE)
    if spec is None or spec.origin is None:
        raise InvalidInput(
            "the phantom's anatomy (MNI152) comes with the package nilearn, which is not installed; "
            "install it with: pip install 'metserve[phantom]'"
        )
    return Path(spec.origin).parent / "datasets" / "data"


def _read_map(folder: Path, name: str) -> tuple[Floats, Points]:
    path = folder / _FILE_NAME.format(map=name)
    if not path.is_file():
        raise InvalidInput(f"{path} is missing; expected the MNI152 maps of nilearn 0.14 or newer there")
    image = nib.nifti1.Nifti1Image.from_filename(path)
    if not np.array_equal(image.affine[:3, :3], np.eye(3)):
        raise InvalidInput(f"{path} has axes {image.affine[:3, :3].tolist()}, expected 1 mm along R, A, S")
    values = np.asanyarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]
    corner = np.array([image.shape[0] - 1, image.shape[1] - 1, 0, 1])
    return values.astype(np.float32), np.asarray((image.affine @ corner)[:3], dtype=np.float64)


def _box_around(values: Floats, origin_ras_mm: Points) -> tuple[tuple[slice, ...], Points]:
    """Return the box around the brain with room for the warp, and its corner in MNI mm."""
    margin = int(4 * WARP_SD_MM)
    occupied = ndimage.find_objects((values > 0).astype(np.int8))[0]
    box = tuple(
        slice(max(s.start - margin, 0), min(s.stop + margin, n))
        for s, n in zip(occupied, values.shape, strict=True)
    )
    k, j, i = (s.start for s in box)
    return box, origin_ras_mm + np.array([-i, -j, k], dtype=np.float64)


def _warp(maps: list[Floats], rng: np.random.Generator) -> list[Floats]:
    k, j, i = maps[0].shape
    coordinates = np.indices((k, j, i), dtype=np.float32)
    for axis in range(3):
        coarse = smooth_noise(rng, _coarse_shape(k, j, i), WARP_CORRELATION_MM // WARP_STEP)
        coarse = ndimage.gaussian_filter(coarse, WARP_CORRELATION_MM / WARP_STEP / 4)  # no kinks at the knots
        coordinates[axis] += np.float32(WARP_SD_MM) * refine(coarse, WARP_STEP, (k, j, i))
    return [
        np.asarray(ndimage.map_coordinates(m, coordinates, order=1, mode="constant", prefilter=False))
        for m in maps
    ]


def _coarse_shape(k: int, j: int, i: int) -> tuple[int, int, int]:
    return k // WARP_STEP + 2, j // WARP_STEP + 2, i // WARP_STEP + 2


def _largest_solid(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return np.asarray(ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes))), dtype=bool)

"""Heads from label maps on disk: FreeSurfer/SynthSeg labels in NIfTI, or packed for machines without nibabel.

``python -m phantom.synthesis.anatomy.files FOLDER OUT`` packs a folder of NIfTI label maps.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from core.geometry import Grid
from phantom.synthesis.anatomy.label_map import Anatomy, crop_to_head
from phantom.synthesis.anatomy.structures import Structure

NIFTI_SUFFIXES = (".nii", ".nii.gz")
PACKED_SUFFIX = ".npz"

SPACING_TOLERANCE_MM = 0.01
"""How far a voxel's edge vectors may be from 1 mm along a patient axis: headers keep single precision."""

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_CANONICAL_EDGES = np.eye(3)[:, ::-1]
"""LPS directions (rows) of k to Superior, j to Posterior, i to Left (columns)."""

STRUCTURE_OF_LABEL: dict[int, Structure] = {
    0: Structure.AIR,
    # FreeSurfer (FreeSurferColorLUT): left and right.
    2: Structure.WHITE_MATTER,
    41: Structure.WHITE_MATTER,
    77: Structure.WHITE_MATTER,  # white-matter hypointensities
    251: Structure.WHITE_MATTER,  # corpus callosum, posterior to anterior
    252: Structure.WHITE_MATTER,
    253: Structure.WHITE_MATTER,
    254: Structure.WHITE_MATTER,
    255: Structure.WHITE_MATTER,
    25: Structure.WHITE_MATTER,  # lesions, around the lateral ventricles: age-related white-matter changes
    57: Structure.WHITE_MATTER,
    3: Structure.CORTEX,
    42: Structure.CORTEX,
    4: Structure.LATERAL_VENTRICLE,
    43: Structure.LATERAL_VENTRICLE,
    72: Structure.LATERAL_VENTRICLE,  # cavum septi pellucidi ("5th ventricle")
    31: Structure.LATERAL_VENTRICLE,  # choroid plexus
    63: Structure.LATERAL_VENTRICLE,
    136: Structure.LATERAL_VENTRICLE,  # in the SynthSeg maps: choroid plexus along the floor of the body
    163: Structure.LATERAL_VENTRICLE,
    5: Structure.INFERIOR_HORN,
    44: Structure.INFERIOR_HORN,
    137: Structure.INFERIOR_HORN,  # in the SynthSeg maps: choroid plexus of the temporal horn
    164: Structure.INFERIOR_HORN,
    7: Structure.CEREBELLAR_WHITE,
    46: Structure.CEREBELLAR_WHITE,
    8: Structure.CEREBELLAR_CORTEX,
    47: Structure.CEREBELLAR_CORTEX,
    10: Structure.THALAMUS,
    49: Structure.THALAMUS,
    11: Structure.DEEP_GREY,  # caudate
    50: Structure.DEEP_GREY,
    12: Structure.DEEP_GREY,  # putamen
    51: Structure.DEEP_GREY,
    18: Structure.DEEP_GREY,  # amygdala
    54: Structure.DEEP_GREY,
    26: Structure.DEEP_GREY,  # accumbens
    58: Structure.DEEP_GREY,
    13: Structure.PALLIDUM,
    52: Structure.PALLIDUM,
    14: Structure.THIRD_VENTRICLE,
    15: Structure.FOURTH_VENTRICLE,
    16: Structure.BRAINSTEM,
    28: Structure.BRAINSTEM,  # ventral diencephalon
    60: Structure.BRAINSTEM,
    17: Structure.HIPPOCAMPUS,
    53: Structure.HIPPOCAMPUS,
    24: Structure.CSF,
    30: Structure.CSF,  # "vessel": widened perivascular spaces under the putamen
    62: Structure.CSF,
    85: Structure.CHIASM,
    # Extracerebral labels of the SynthSeg training maps (no published list): by place and neighbours.
    502: Structure.CAROTID,
    506: Structure.EYE,
    507: Structure.SOFT_TISSUE,
    508: Structure.SOFT_TISSUE,  # muscles behind the eyes
    509: Structure.MUCOSA,
    511: Structure.SKIN,
    512: Structure.CORD,
    514: Structure.SINUS,
    515: Structure.CORTICAL_BONE,
    516: Structure.DIPLOE,
    530: Structure.SOFT_TISSUE,  # optic nerves: outside the brain, unlike the chiasm
}
"""Structure of every FreeSurfer/SynthSeg label that may occur."""


def load_anatomies(folder: Path, names: Sequence[str] | None = None) -> tuple[Anatomy, ...]:
    """Read the heads of a folder, in the order of their names.

    Parameters
    ----------
    folder
        Holds ``*.nii``, ``*.nii.gz`` (FreeSurfer/SynthSeg labels, 1 mm) or ``*.npz`` (``pack_anatomies``).
    names
        The heads wanted, by file name without suffix, in the order wanted; None for all.

    Raises
    ------
    InvalidInput
        No label map or not all names are there; a file is not a 1 mm label map or holds an unknown label.
    """
    paths = _label_maps(folder)
    missing = [name for name in names or () if name not in paths]
    if missing:
        raise InvalidInput(f"{folder} has no label map {missing[0]!r}; it has {', '.join(paths)}")
    return tuple(_read(paths[name], name) for name in (paths if names is None else names))


def list_anatomies(folder: Path) -> tuple[str, ...]:
    """Return the names of the heads of a folder, in order, without reading them.

    Raises
    ------
    InvalidInput
        There is none.
    """
    return tuple(_label_maps(folder))


def pack_anatomies(folder: Path, out: Path) -> tuple[Path, ...]:
    """Write every head of a folder as one compressed ``NAME.npz`` in ``out``; return the files."""
    paths = []
    out.mkdir(parents=True, exist_ok=True)
    for name in _label_maps(folder):
        (anatomy,) = load_anatomies(folder, [name])
        paths.append(out / f"{name}{PACKED_SUFFIX}")
        write_packed(anatomy, paths[-1])
    return tuple(paths)


def write_packed(anatomy: Anatomy, path: Path) -> None:
    """Write one head as ``load_anatomies`` reads it without nibabel; it is called after the file."""
    np.savez_compressed(
        path, labels_kji=anatomy.labels_kji, affine_kji_to_lps_mm=anatomy.grid.affine_kji_to_lps_mm
    )


def _label_maps(folder: Path) -> dict[str, Path]:
    """Find the files by name; one that is there packed and as NIfTI is read packed."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder, expected one with label maps")
    found: dict[str, Path] = {}
    for suffix in (*NIFTI_SUFFIXES, PACKED_SUFFIX):
        found.update({path.name.removesuffix(suffix): path for path in folder.glob(f"*{suffix}")})
    if not found:
        raise InvalidInput(f"{folder} holds no label map, expected *.nii, *.nii.gz or *.npz there")
    return dict(sorted(found.items()))


def _read(path: Path, name: str) -> Anatomy:
    return _read_packed(path, name) if path.suffix == PACKED_SUFFIX else _read_nifti(path, name)


def _read_packed(path: Path, name: str) -> Anatomy:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels, affine = arrays["labels_kji"], arrays["affine_kji_to_lps_mm"]
    except (KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path} is not a packed head: {error}; expected one of pack_anatomies") from error
    if labels.dtype != np.uint8 or labels.ndim != 3 or labels.max(initial=0) > max(Structure):
        raise InvalidInput(
            f"{path} has labels {labels.dtype} {labels.shape} up to {labels.max(initial=0)}, "
            f"expected a uint8 volume up to {int(max(Structure))}"
        )
    return Anatomy(name, labels, Grid(labels.shape, affine))


def _read_nifti(path: Path, name: str) -> Anatomy:
    """Reorient, translate the labels, crop to the head."""
    values_kji, affine = _canonical_values(path)
    labels = _without_specks(_structures(values_kji, path))
    return crop_to_head(Anatomy(name, labels, Grid(labels.shape, affine)))


def _canonical_values(path: Path) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Read a volume with axes (Superior, Posterior, Left) and its affine to LPS mm."""
    values, affine_ras = _nifti_values(path)
    if values.ndim != 3:
        raise InvalidInput(f"{path} has shape {values.shape}, expected three dimensions")
    return _reorient(np.rint(values).astype(np.int32), _RAS_TO_LPS @ affine_ras, path)


def _nifti_values(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    import nibabel as nib  # only where NIfTI is read: packed heads are read without it
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    unreadable = (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError, zlib.error)
    try:
        image = nib.nifti1.Nifti1Image.from_filename(path)
        return np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
    except unreadable as error:
        raise InvalidInput(f"{path} cannot be read as NIfTI: {error}") from error


def _reorient(
    values: NDArray[np.int32], affine: NDArray[np.float64], path: Path
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Permute and flip the axes; expect voxels of 1 mm along the patient's axes, as all that follows does."""
    edges = affine[:3, :3]
    along = np.abs(edges).argmax(axis=1)[::-1]  # the array's axis along S, P and L
    permuted = edges[:, along]
    if not np.allclose(np.abs(permuted), _CANONICAL_EDGES, rtol=0, atol=SPACING_TOLERANCE_MM):
        spacing = np.round(np.linalg.norm(edges, axis=0), 3).tolist()
        raise InvalidInput(
            f"{path} has voxels of {spacing} mm with edges {np.round(edges, 3).tolist()} (columns, LPS), "
            "expected 1 mm along the patient's axes; resample it to the nearest voxel on such a grid first"
        )
    flipped = np.flatnonzero((permuted * _CANONICAL_EDGES).sum(axis=0) < 0)
    first = np.zeros(3)  # index, in the file, of the first voxel after the flips
    first[along[flipped]] = np.array(values.shape)[along[flipped]] - 1
    canonical = np.eye(4)
    canonical[:3, :3] = _CANONICAL_EDGES
    canonical[:3, 3] = edges @ first + affine[:3, 3]
    return np.flip(values.transpose(along), tuple(flipped.tolist())), canonical


def _structures(values: NDArray[np.int32], path: Path) -> NDArray[np.uint8]:
    known = np.full(max(STRUCTURE_OF_LABEL) + 1, -1, dtype=np.int16)
    known[list(STRUCTURE_OF_LABEL)] = [int(s) for s in STRUCTURE_OF_LABEL.values()]
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high >= len(known):
        raise _unknown(low if low < 0 else high, path)
    labels = known[values]
    if labels.min(initial=0) < 0:
        raise _unknown(int(values[labels < 0][0]), path)
    return np.asarray(labels, dtype=np.uint8)


def _without_specks(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the largest connected part: automatic labels leave specks in the air around a head."""
    parts, count = ndimage.label(labels != Structure.AIR)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.where(parts == np.argmax(sizes), labels, np.uint8(Structure.AIR)) if count else labels


def _unknown(label: int, path: Path) -> InvalidInput:
    return InvalidInput(
        f"{path} holds the label {label}, expected FreeSurfer tissue labels or the extracerebral ones of "
        "STRUCTURE_OF_LABEL"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack a folder of label maps."""
    parser = argparse.ArgumentParser(description="Pack NIfTI label maps into files that need no nibabel.")
    parser.add_argument("folder", type=Path, help="folder with *.nii or *.nii.gz label maps")
    parser.add_argument("out", type=Path, help="folder to write NAME.npz into")
    options = parser.parse_args(arguments)
    for path in pack_anatomies(options.folder, options.out):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()

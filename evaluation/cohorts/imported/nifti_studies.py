"""NIfTI and BraTS-METS folders -> ImportedStudy: roles by file name, RAS turned into LPS exactly.

A file's role is the end of its name, whatever stands before it: ``t1c.nii.gz``,
``BraTS-MET-00002-000-t1c.nii.gz`` and ``patient7_t1ce.nii`` are all T1-post. See ``ROLE_ENDINGS``.

UCSF-BMSR has ``_T1pre``, ``_T1post``, ``_seg`` for every study and ``_BraTS-seg`` for some: of the two,
``_seg`` is taken, so that all studies have the same kind of reference (say ``enhancing_label = 1``).
``_BraTS-seg`` is read where it stands alone, with the labels of BraTS whatever the options say.

BIDS has ``_T1w`` for both scans: one with the entity ``ce-`` (``sub-1_ce-gadolinium_T1w``) is T1-post.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.geometry import Grid
from core.headers import MR_IMAGE_STORAGE
from core.uids import derive_uid
from evaluation.cohorts.case import label_lesions
from evaluation.cohorts.imported.nifti_images import NiftiImage, read_image
from evaluation.cohorts.imported.study import ImportedStudy, ImportOptions
from worker.volumes import MIN_SLICES, SliceReference, Volume

NIFTI_SUFFIXES = (".nii.gz", ".nii")

T1, T1_POST, LABELS, MASK = "T1", "T1-post", "BraTS labels", "mask"

ROLE_ENDINGS = {
    T1: ("t1n", "t1", "t1_pre", "t1-pre", "t1pre", "t1w"),
    T1_POST: ("t1c", "t1ce", "t1gd", "t1_post", "t1-post", "t1post"),
    LABELS: ("seg", "dseg"),
    MASK: ("mask",),
}
"""A name is one of these, or ends in one after '-' or '_'. In a mask any voxel above 0 is metastasis."""

BIDS_SCAN, BIDS_CONTRAST = "t1w", "ce-"
"""Suffix of a T1-weighted scan, and the entity of one after contrast."""

BRATS_LABELS = "brats-seg"
"""Name of labels that stand beside a plain ``seg``."""

NO_LESIONS_WORDS = frozenset(
    {"brain", "head", "skull", "bet", "tissue", "tissues", "csf", "gm", "wm", "aparc", "aseg"}
)
"""Before 'mask' or 'seg': masks of these are not of metastases and have no role."""

NECROTIC_CORE = 1
"""BraTS-METS: it joins the pieces of a rim, and is no part of the reference."""

ENHANCING_TUMOUR = 3
"""BraTS-METS since 2023: 1 non-enhancing core, 2 oedema, 3 enhancing tumour, 4 (2025) resection cavity.

The reference is the enhancing part alone, as in Rudie 2021; before 2023 its label was 4.
"""

SAME_GRID_TOLERANCE_MM = 0.05
"""How far a corner of the mask may lie from T1-post's: single-precision headers differ by 0.01 mm."""

LABEL_TOLERANCE = 1e-3
"""A label may be stored as a scaled float; it is still a whole number within this."""


def is_nifti_study(folder: Path) -> bool:
    """Tell whether a study folder holds NIfTI files."""
    return bool(_nifti_files(folder))


def read_nifti_study(folder: Path, options: ImportOptions) -> ImportedStudy:
    """Read T1-post, T1 if there is one, and the reference.

    Raises
    ------
    InvalidInput
        A file is missing, there twice, unreadable, unplaced, or does not fit T1-post.
    """
    files = _assign_roles(folder)
    t1_post = read_image(_required(files, T1_POST, folder), folder.name)
    t1 = read_image(files[T1], folder.name) if T1 in files else None
    return ImportedStudy(
        name=folder.name,
        patient=patient_of(folder.name),
        t1_post=_to_volume(t1_post, folder.name),
        t1=None if t1 is None else _to_volume(t1, folder.name),
        reference_kji=_read_reference(files, t1_post, folder, options),
    )


def patient_of(name: str) -> str:
    """Return the name without the time point as BraTS (patient-timepoint) and BIDS (sub-x_ses-y) have it."""
    patient, dash, _ = name.rpartition("-")
    if name.startswith("sub-"):
        return name.partition("_ses-")[0]
    return patient if dash and name.startswith("BraTS") else name


def _nifti_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name.lower().endswith(NIFTI_SUFFIXES))


def _assign_roles(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(_nifti_files(folder), key=_is_brats_labels):
        role = _role_of(path)
        if role in files and _is_brats_labels(path) and not _is_brats_labels(files[role]):
            continue
        if role in files:
            raise InvalidInput(
                f"study {folder.name} has {files[role].name} and {path.name}, expected one {role}"
            )
        if role:
            files[role] = path
    return files


def _role_of(path: Path) -> str:
    stem = _stem(path)
    role, ending = _match(stem)
    if ending == BIDS_SCAN and f"_{BIDS_CONTRAST}" in f"_{stem}":
        return T1_POST
    before = re.split("[-_]", stem.removesuffix(ending).rstrip("-_"))[-1]
    return "" if role in (LABELS, MASK) and before in NO_LESIONS_WORDS else role


def _match(stem: str) -> tuple[str, str]:
    """Return the role and the ending by which a name has it; empty where it has none."""
    for role, endings in ROLE_ENDINGS.items():
        for ending in endings:
            if stem == ending or stem.endswith((f"-{ending}", f"_{ending}")):
                return role, ending
    return "", ""


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").removesuffix(".nii")


def _is_brats_labels(path: Path) -> bool:
    return _stem(path).endswith(BRATS_LABELS)


def _required(files: dict[str, Path], role: str, folder: Path) -> Path:
    if role in files:
        return files[role]
    found = ", ".join(path.name for path in _nifti_files(folder))
    expected = " or ".join(f"*-{ending}.nii.gz" for ending in ROLE_ENDINGS[role])
    raise InvalidInput(
        f"study {folder.name} has no {role} among {found}; expected {expected} "
        "(a mask of brain or head is none)"
    )


def _to_volume(image: NiftiImage, study: str) -> Volume:
    """Name the slices of an image that has no DICOM instances, so that each has a reference."""
    shape = image.grid.shape_kji
    if min(shape) < MIN_SLICES:
        raise InvalidInput(
            f"study {study}: {image.path.name} has shape {shape[::-1]}, "
            f"expected at least {MIN_SLICES} voxels along each axis"
        )
    uids = (derive_uid("imported", study, image.path.name, str(k)) for k in range(shape[0]))
    references = tuple(SliceReference(MR_IMAGE_STORAGE, uid, None) for uid in uids)
    return Volume(image.voxels_kji, image.grid, derive_uid("imported", study, "frame"), references)


def _read_reference(
    files: dict[str, Path], t1_post: NiftiImage, folder: Path, options: ImportOptions
) -> NDArray[np.uint16]:
    found = [files[role] for role in (LABELS, MASK) if role in files]
    if folder.name in options.without_lesions:
        return _no_lesions(t1_post.grid, found, folder)
    if len(found) == 2:
        raise InvalidInput(
            f"study {folder.name} has {found[0].name} and {found[1].name}, expected one reference"
        )
    path = files[LABELS] if LABELS in files else _required(files, MASK, folder)
    image = read_image(path, folder.name)
    _check_same_grid(image, t1_post, folder.name)
    _check_whole_numbers(image, folder.name)
    return (
        _enhancing(image, folder.name, options) if LABELS in files else label_lesions(image.voxels_kji > 0.5)
    )


def _no_lesions(grid: Grid, found: list[Path], folder: Path) -> NDArray[np.uint16]:
    if found:
        raise InvalidInput(
            f"study {folder.name} is under without_lesions but has {found[0].name}, expected no reference"
        )
    return np.zeros(grid.shape_kji, dtype=np.uint16)


def _check_same_grid(mask: NiftiImage, t1_post: NiftiImage, study: str) -> None:
    if mask.grid.shape_kji != t1_post.grid.shape_kji:
        raise InvalidInput(
            f"study {study}: {mask.path.name} has shape {mask.grid.shape_kji[::-1]}, "
            f"expected {t1_post.grid.shape_kji[::-1]} as {t1_post.path.name}"
        )
    corners_kji = np.array(list(product((0, 1), repeat=3))) * (np.array(t1_post.grid.shape_kji) - 1)
    apart = mask.grid.to_lps_mm(corners_kji) - t1_post.grid.to_lps_mm(corners_kji)
    distance_mm = float(np.linalg.norm(apart, axis=1).max())
    if distance_mm > SAME_GRID_TOLERANCE_MM:
        raise InvalidInput(
            f"study {study}: {mask.path.name} lies up to {distance_mm:.2f} mm from {t1_post.path.name} "
            f"(affines differ), expected the same place within {SAME_GRID_TOLERANCE_MM} mm"
        )


def _check_whole_numbers(mask: NiftiImage, study: str) -> None:
    distance = np.abs(mask.voxels_kji - np.rint(mask.voxels_kji))
    if distance.max() > LABEL_TOLERANCE or mask.voxels_kji.min() < 0:
        worst = float(mask.voxels_kji.flat[int(distance.argmax())])
        if mask.voxels_kji.min() < 0:
            worst = float(mask.voxels_kji.min())
        raise InvalidInput(
            f"study {study}: {mask.path.name} holds {worst:g}, expected labels 0, 1, 2 ... "
            "(a mask resampled with interpolation?)"
        )


def _enhancing(labels: NiftiImage, study: str, options: ImportOptions) -> NDArray[np.uint16]:
    """Return the enhancing tumours, numbered; refuse labels of which it is not sure which they are."""
    values = np.rint(labels.voxels_kji).astype(np.int64)
    said = None if _is_brats_labels(labels.path) else options.enhancing_label
    wanted = said or ENHANCING_TUMOUR
    found = sorted(set(np.unique(values).tolist()) - {0})
    if found and wanted not in found and said is None:
        raise InvalidInput(
            f"study {study}: {labels.path.name} holds labels {found}, expected {wanted} (enhancing tumour "
            "since 2023) among them; say enhancing_label in cohort.toml, or call a plain mask *-mask.nii.gz"
        )
    return label_lesions(values == wanted, values == NECROTIC_CORE)

"""DICOM folders with a reference SEG -> ImportedStudy, loaded as the worker loads what it analyses.

A patient is called after a digest of the Patient ID: studies of one belong together, and no ID is written
anywhere. That is a pseudonym, not anonymity: who has a list of IDs can find them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from core.errors import InvalidInput, UnsuitableStudy
from core.headers import frame_groups
from core.logs import logger, pseudonym
from core.provenance import MANUFACTURER
from evaluation.cohorts.case import label_lesions
from evaluation.cohorts.imported.dicom_segments import lesion_segments
from evaluation.cohorts.imported.study import ImportedStudy, ImportOptions
from worker.encoding.planes import Plane, read_plane
from worker.volumes import SourceImages, Volume, load_volume

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATION_STORAGES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", LABEL_MAP_STORAGE})
"""SOP classes Segmentation (BINARY, FRACTIONAL) and Label Map Segmentation."""

FILLED = 0.5
"""Share of the maximum from which a voxel of a FRACTIONAL segmentation is lesion."""

PLACE_TOLERANCE = 0.1
"""How far, in voxels, a pixel of the SEG may lie from the centre of a T1-post voxel: rounded headers."""


@dataclass(frozen=True, eq=False)
class DicomStudy:
    """What was chosen from a folder: the series to analyse, and the files of every SEG."""

    images: SourceImages
    segmentations: tuple[Path, ...]


ChooseSeries = Callable[[Path], DicomStudy]
"""Reads a study's folder and chooses its series, as the service does (``cli.chosen_study``).

Raises InvalidInput for a folder that is no study and UnsuitableStudy for one that has no T1-post.
"""


def read_dicom_study(folder: Path, options: ImportOptions, choose: ChooseSeries) -> ImportedStudy:
    """Load the chosen series, and the reference from the folder's one SEG.

    Raises
    ------
    InvalidInput
        The folder is no study, or its SEG is missing, not the only one, made by this program, without a
        segment that is a metastasis, or not on T1-post's voxels.
    UnsuitableStudy
        The service would turn the study down: no T1-post, or one that is no regular stack.
    """
    found = choose(folder)
    t1_post = load_volume(found.images.t1_post)
    reference_kji = _read_reference(found.segmentations, t1_post, folder.name, options)
    return ImportedStudy(
        name=folder.name,
        patient=_patient_of(found.images.t1_post[0], folder.name),
        t1_post=t1_post,
        t1=_load_t1(found.images.t1, folder.name),
        reference_kji=label_lesions(reference_kji),
    )


def _patient_of(dataset: Dataset, study: str) -> str:
    """Return a name for the patient; the study's own where the ID was removed."""
    patient_id = str(dataset.get("PatientID") or "").strip()
    return f"patient-{pseudonym(patient_id)}" if patient_id else study


def _load_t1(datasets: Sequence[Dataset] | None, study: str) -> Volume | None:
    """Load T1; as in the service, the study goes on without a damaged one."""
    if datasets is None:
        return None
    try:
        return load_volume(datasets)
    except UnsuitableStudy as error:
        logger().warning("T1 left out", study=study, reason=error.reason.value, message=error.message)
        return None


def _read_reference(
    paths: tuple[Path, ...], t1_post: Volume, study: str, options: ImportOptions
) -> NDArray[np.bool_]:
    expected = 0 if study in options.without_lesions else 1
    if len(paths) != expected:
        names = ", ".join(path.name for path in paths) or "none"
        raise InvalidInput(
            f"study {study} has {len(paths)} segmentations ({names}), expected {expected} "
            "(one reference, or a study listed under without_lesions and no SEG)"
        )
    reference_kji = np.zeros(t1_post.grid.shape_kji, dtype=np.bool_)
    for path in paths:
        _paint(reference_kji, path, t1_post, study, options)
    return reference_kji


@dataclass(frozen=True, eq=False)
class _SegFrame:
    """Lesion pixels (n, 2) of one frame, and where the frame lies."""

    pixels_ji: NDArray[np.float64]
    plane: Plane


def _paint(
    reference_kji: NDArray[np.bool_], path: Path, t1_post: Volume, study: str, options: ImportOptions
) -> None:
    """Set the voxels of the segments that are metastases, each frame placed by its own geometry."""
    seg = dcmread(path, stop_before_pixels=True)
    _check_origin(seg, path, t1_post, study)
    numbers = lesion_segments(seg, options.segments, f"study {study}: {path.name}")
    for frame in _frames(path, seg, numbers, study):
        index_kji = t1_post.grid.to_index_kji(frame.plane.to_lps_mm(frame.pixels_ji))
        nearest_kji = np.rint(index_kji).astype(np.int64)
        _check_place(index_kji, nearest_kji, t1_post, path, study)
        reference_kji[tuple(nearest_kji.T)] = True


def _check_origin(seg: Dataset, path: Path, t1_post: Volume, study: str) -> None:
    if str(seg.get("Manufacturer", "")) == MANUFACTURER:
        raise InvalidInput(
            f"study {study}: {path.name} was made by {MANUFACTURER} itself, expected a person's reference"
        )
    uid = str(seg.get("FrameOfReferenceUID", ""))
    if uid != t1_post.frame_of_reference_uid:
        raise InvalidInput(
            f"study {study}: {path.name} has frame of reference {uid or 'none'}, "
            f"expected {t1_post.frame_of_reference_uid} as the T1-post series"
        )


def _frames(path: Path, seg: Dataset, numbers: Sequence[int], study: str) -> Iterator[_SegFrame]:
    """Yield frames that hold a pixel of one of these segments."""
    try:
        for frame, pixels in enumerate(iter_pixels(path)):
            inside_ji = np.argwhere(_is_inside(np.asarray(pixels), seg, frame, numbers))
            if inside_ji.size:
                yield _SegFrame(inside_ji.astype(np.float64), read_plane([*frame_groups(seg, frame), seg]))
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"study {study}: {path.name} cannot be read: {error}; expected a whole segmentation"
        ) from error


def _is_inside(
    pixels: NDArray[np.generic], seg: Dataset, frame: int, numbers: Sequence[int]
) -> NDArray[np.bool_]:
    """Tell which pixels are of these segments: in a label map by value, else by the segment of the frame."""
    if seg.SOPClassUID == LABEL_MAP_STORAGE:
        return np.isin(pixels, numbers)
    if _segment_of(seg, frame) not in numbers:
        return np.zeros(pixels.shape, dtype=np.bool_)
    least = FILLED * float(seg.get("MaximumFractionalValue") or 1)
    return np.asarray(pixels.astype(np.float64) >= least)


def _segment_of(seg: Dataset, frame: int) -> int:
    for group in frame_groups(seg, frame):
        if "ReferencedSegmentNumber" in group:
            return int(group.ReferencedSegmentNumber)
    raise LookupError(f"frame {frame + 1} names no segment")


def _check_place(
    index_kji: NDArray[np.float64],
    nearest_kji: NDArray[np.int64],
    t1_post: Volume,
    path: Path,
    study: str,
) -> None:
    apart = float(np.abs(index_kji - nearest_kji).max())
    if apart > PLACE_TOLERANCE:
        raise InvalidInput(
            f"study {study}: {path.name} has pixels {apart:.2f} voxels from those of T1-post, expected the "
            f"same voxels within {PLACE_TOLERANCE} (resample the segmentation to the T1-post series)"
        )
    shape_kji: Sequence[int] = t1_post.grid.shape_kji
    if (nearest_kji < 0).any() or (nearest_kji >= shape_kji).any():
        raise InvalidInput(f"study {study}: {path.name} has pixels outside T1-post, expected all within it")

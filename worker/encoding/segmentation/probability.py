"""The ensemble's mean output -> DICOM Segmentation, FRACTIONAL, in a series of its own, and its check.

Not every viewer draws it: some refuse fractional segmentations, which is why a site has to ask for it.
"""

from __future__ import annotations

import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.seg.enum import (
    SegmentAlgorithmTypeValues,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
)
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import Defect
from core.geometry import Grid
from core.provenance import Provenance
from worker.encoding.agreement import check_same, distance_mm
from worker.encoding.codes import BRAIN, MORPHOLOGICALLY_ABNORMAL_STRUCTURE, NEOPLASM_SECONDARY
from worker.encoding.part10 import from_bytes
from worker.encoding.planes import (
    POSITION_TOLERANCE_MM,
    departure_mm,
    grid_corners_lps_mm,
    plane_corners_lps_mm,
)
from worker.encoding.provenance import algorithm_of_segments, equipment_attributes, series_description
from worker.encoding.segmentation.frames import (
    name_dimensions,
    name_segment_in_every_frame,
    refer_to_frames,
)
from worker.encoding.segmentation.readback import FractionFrame, read_fraction_frames
from worker.encoding.sources import EncodingSources, plane_images
from worker.ensemble import LesionProbability
from worker.lesions import Findings
from worker.resampling import resample_linear

PROBABILITY_SERIES_NUMBER = 9007
"""Last of the results."""

MAXIMUM_FRACTION = 255
"""Stored for 1: one byte a voxel."""

LEAST_SHOWN = 0.05
"""Smaller outputs are written as 0: they fill the brain, and no operating point comes near them."""

HALF_A_STEP = 0.5 / MAXIMUM_FRACTION + 1e-6
"""What rounding to a byte changes at most, with float32's own rounding."""


def probability_on_source(probability: LesionProbability, source_grid: Grid) -> NDArray[np.float32]:
    """Return the mean output at the voxels of the T1-post grid, 0 to 1; 0 outside the brain."""
    inside_kji = np.where(probability.brain_mask_kji, probability.mean_kji, 0).astype(np.float32)
    return np.clip(resample_linear(inside_kji, probability.grid, source_grid), 0, 1)


def is_worth_a_map(probability_kji: NDArray[np.float32]) -> bool:
    """Tell whether any output is large enough to be written; a map cannot be empty."""
    return bool((probability_kji >= LEAST_SHOWN).any())


def build_probability_map(
    findings: Findings,
    probability_kji: NDArray[np.float32],
    sources: EncodingSources,
    provenance: Provenance,
) -> Segmentation:
    """Return the map of the ensemble's output, not yet stamped.

    Parameters
    ----------
    probability_kji
        0 to 1, on the findings' grid, ``is_worth_a_map``. Frames without a shown voxel are left out.

    Raises
    ------
    Defect
        Another shape than the grid's, values outside 0 to 1, or nothing to show.
    """
    _check_values(probability_kji, findings.grid)
    segmentation = Segmentation(
        source_images=plane_images(sources, findings.grid),
        pixel_array=np.where(probability_kji >= LEAST_SHOWN, probability_kji, 0).astype(np.float32),
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=MAXIMUM_FRACTION,
        segment_descriptions=[_describe(provenance)],
        series_instance_uid=provenance.uid("probability", "series"),
        series_number=PROBABILITY_SERIES_NUMBER,
        sop_instance_uid=provenance.uid("probability", "instance"),
        instance_number=1,
        content_label="PROBABILITY",
        content_description="Mean network output, uncalibrated, research use",
        series_description=series_description("metserve probability", provenance),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        **equipment_attributes(provenance),
    )
    segmentation.ContentCreatorName = ""  # type 2; no person made it
    name_dimensions(segmentation, provenance.uid("probability", "dimensions"))
    name_segment_in_every_frame(segmentation)
    refer_to_frames(segmentation, sources.slices)
    return segmentation


def verify_probability_map(
    content: bytes, probability_kji: NDArray[np.float32], grid: Grid, sources: EncodingSources
) -> Dataset:
    """Read a probability map back, compare it with the output, and return it as read.

    Parameters
    ----------
    content
        The PS3.10 file.
    probability_kji, grid
        What it was built from.

    Raises
    ------
    Defect
        It has other values, places or source images.
    """
    seg = from_bytes(content)
    check_same("FrameOfReferenceUID", str(seg.FrameOfReferenceUID), sources.frame_of_reference_uid)
    kind = (str(seg.SegmentationType), str(seg.SegmentationFractionalType), int(seg.MaximumFractionalValue))
    check_same("the map", kind, ("FRACTIONAL", "PROBABILITY", 255))
    tolerance_mm = POSITION_TOLERANCE_MM + departure_mm(sources, grid)
    unseen = {k for k in range(grid.shape_kji[0]) if (probability_kji[k] >= LEAST_SHOWN).any()}
    for frame in read_fraction_frames(seg):
        k = _slice_of(frame, sources)
        _check_place(frame, k, grid, tolerance_mm)
        _check_fractions(frame, k, probability_kji[k])
        unseen.discard(k)
    check_same("slices without a frame", sorted(unseen), [])
    return seg


def _check_values(probability_kji: NDArray[np.float32], grid: Grid) -> None:
    check_same("shape of the probability", probability_kji.shape, grid.shape_kji)
    low, high = float(probability_kji.min()), float(probability_kji.max())
    if not (low >= 0 and LEAST_SHOWN <= high <= 1):
        raise Defect(f"the probability runs from {low} to {high}, expected 0 to 1 and some above 0.05")


def _describe(provenance: Provenance) -> SegmentDescription:
    return SegmentDescription(
        segment_number=1,
        segment_label="Lesion probability",
        segmented_property_category=MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        segmented_property_type=NEOPLASM_SECONDARY,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm_of_segments(provenance),
        anatomic_regions=[BRAIN],
    )


def _slice_of(frame: FractionFrame, sources: EncodingSources) -> int:
    if frame.source not in sources.slices:
        raise Defect(f"a frame refers to {frame.source}, which is no slice of the T1-post series")
    return sources.slices.index(frame.source)


def _check_place(frame: FractionFrame, k: int, grid: Grid, tolerance_mm: float) -> None:
    off_mm = distance_mm(plane_corners_lps_mm(frame.plane, grid), grid_corners_lps_mm(k, grid))
    if off_mm > tolerance_mm:
        raise Defect(f"a frame of slice {k} lies {off_mm:.3f} mm off it, expected {tolerance_mm:.3f} mm")


def _check_fractions(frame: FractionFrame, k: int, probability_ji: NDArray[np.float32]) -> None:
    expected = np.where(probability_ji < LEAST_SHOWN, 0, probability_ji)
    check_same(f"shape of slice {k}", frame.stored_ji.shape, expected.shape)
    off = float(np.abs(frame.stored_ji / MAXIMUM_FRACTION - expected).max())
    if off > HALF_A_STEP:
        raise Defect(f"the map of slice {k} is {off:.4f} off, expected {HALF_A_STEP:.4f} at most")

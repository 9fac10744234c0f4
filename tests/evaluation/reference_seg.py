"""A person's DICOM SEG on a T1-post series, as an annotation program writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.seg.enum import SegmentAlgorithmTypeValues, SegmentationTypeValues
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from core.uids import derive_uid


def make_seg(
    sources: Sequence[Dataset],
    labels: NDArray[np.integer],
    *,
    kind: SegmentationTypeValues = SegmentationTypeValues.BINARY,
    manufacturer: str = "A person's drawing program",
) -> Segmentation:
    """A SEG with one segment a label, planes in the order of ``sources``."""
    numbers = range(1, int(labels.max()) + 1)
    pixels = labels
    if kind is SegmentationTypeValues.FRACTIONAL:
        pixels = np.stack([(labels == n).astype(np.float32) for n in numbers], axis=-1)
    return Segmentation(
        source_images=list(sources),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[_describe(n) for n in numbers],
        series_instance_uid=derive_uid("reference series"),
        series_number=50,
        sop_instance_uid=derive_uid("reference instance"),
        instance_number=1,
        manufacturer=manufacturer,
        manufacturer_model_name="Contours",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=True,
    )


def _describe(number: int) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=f"metastasis {number}",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
    )


def renumber(seg: Dataset, add: int) -> Dataset:
    """Shift every segment's number, as programs do that delete segments."""
    for segment in seg.SegmentSequence:
        segment.SegmentNumber += add
    groups = [*seg.SharedFunctionalGroupsSequence, *seg.PerFrameFunctionalGroupsSequence]
    for group in groups:
        for item in group.get("SegmentIdentificationSequence", []):
            item.ReferencedSegmentNumber += add
    return seg


def save(seg: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path, enforce_file_format=True)
    return path

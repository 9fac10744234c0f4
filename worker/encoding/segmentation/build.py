"""Findings -> DICOM Segmentation: BINARY, one segment a lesion, on the planes of the T1-post series."""

from __future__ import annotations

from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.seg.enum import SegmentAlgorithmTypeValues, SegmentationTypeValues
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from core.lesion import Lesion, Location
from core.provenance import Provenance
from worker.encoding.codes import (
    MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
    NEOPLASM_SECONDARY,
    REGION_MODIFIERS,
    REGIONS,
    SIDES,
)
from worker.encoding.palette import lesion_colour
from worker.encoding.provenance import (
    algorithm_of_segments,
    equipment_attributes,
    series_description,
)
from worker.encoding.segmentation.frames import (
    name_dimensions,
    name_segment_in_every_frame,
    refer_to_frames,
)
from worker.encoding.sources import EncodingSources, plane_images
from worker.lesions import Findings

SEG_SERIES_NUMBER = 9001
"""Beyond the numbers scanners give, so that results come last in a series list."""


def build_segmentation(findings: Findings, sources: EncodingSources, provenance: Provenance) -> Segmentation:
    """Return the SEG of a study with at least one lesion, not yet stamped.

    Frames without a voxel of their segment are left out.
    """
    segmentation = Segmentation(
        source_images=plane_images(sources, findings.grid),
        pixel_array=findings.label_map_kji,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(lesion, provenance) for lesion in findings.lesions],
        series_instance_uid=provenance.uid("seg", "series"),
        series_number=SEG_SERIES_NUMBER,
        sop_instance_uid=provenance.uid("seg", "instance"),
        instance_number=1,
        content_label="METASTASES",
        content_description="Brain metastases found by software, research use",
        series_description=series_description("metserve metastases", provenance),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        **equipment_attributes(provenance),
    )
    segmentation.ContentCreatorName = ""  # type 2; no person made it
    for lesion, segment in zip(findings.lesions, segmentation.SegmentSequence, strict=True):
        _name_place(segment, lesion.location)
    name_dimensions(segmentation, provenance.uid("seg", "dimensions"))
    name_segment_in_every_frame(segmentation)
    refer_to_frames(segmentation, sources.slices)
    return segmentation


def _describe(lesion: Lesion, provenance: Provenance) -> SegmentDescription:
    return SegmentDescription(
        segment_number=lesion.number,
        segment_label=lesion.tracking_id,
        segmented_property_category=MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        segmented_property_type=NEOPLASM_SECONDARY,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm_of_segments(provenance),
        tracking_uid=lesion.tracking_uid,
        tracking_id=lesion.tracking_id,
        anatomic_regions=[REGIONS[lesion.location.region]],
        display_color=CIELabColor.from_rgb(*lesion_colour(lesion.number)),
    )


def _name_place(segment: Dataset, location: Location) -> None:
    """Say side and part beside the anatomic region, which highdicom takes without modifiers."""
    modifiers = [SIDES[location.side]] if location.side is not None else []
    if location.region in REGION_MODIFIERS:
        modifiers.append(REGION_MODIFIERS[location.region])
    if modifiers:
        items = [CodedConcept.from_code(code) for code in modifiers]
        segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = items

"""Findings -> RT Structure Set: the filled lesions in the planes of the T1-post series."""

from __future__ import annotations

from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DSdecimal, format_number_as_ds

from core.lesion import FindingsReport, Lesion
from core.provenance import NOT_A_DEVICE, Provenance
from core.results import SOP_CLASSES, ResultKind, StructureStyle
from worker.encoding.codes import NEOPLASM_SECONDARY
from worker.encoding.palette import lesion_colour
from worker.encoding.planes import read_source_planes
from worker.encoding.provenance import algorithm_of_segments, equipment_attributes, series_description
from worker.encoding.sources import EncodingSources
from worker.encoding.structures.codes import REGION_STYLES, RegionStyle
from worker.encoding.structures.contours import contour_items
from worker.encoding.structures.references import referenced_frame_of_reference
from worker.filling import fill_lesions
from worker.lesions import Findings
from worker.outlines import outline_lesions

STRUCTURES_SERIES_NUMBER = 9003
"""After the segmentation and the report."""

STRUCTURE_SET_LABEL = "AI_METASTASES"
"""Short String: planning systems list structure sets by it."""

CUBIC_MILLIMETRES_IN_A_CUBIC_CENTIMETRE = 1000.0
"""ROI Volume is in cubic centimetres (PS3.3 C.8.8.5)."""


def build_structure_set(
    findings: Findings,
    report: FindingsReport,
    sources: EncodingSources,
    provenance: Provenance,
    style: StructureStyle,
) -> Dataset:
    """Return the RTSTRUCT of a study with at least one lesion, not yet stamped."""
    region_style = REGION_STYLES[style]
    dataset = Dataset()
    _describe_series(dataset, sources, provenance)
    _describe_set(dataset, report, provenance)
    dataset.ReferencedFrameOfReferenceSequence = [referenced_frame_of_reference(sources)]
    dataset.StructureSetROISequence = [
        _region(lesion, sources, provenance, region_style) for lesion in findings.lesions
    ]
    dataset.ROIContourSequence = _region_contours(findings, sources)
    dataset.RTROIObservationsSequence = [_observation(lesion, region_style) for lesion in findings.lesions]
    return dataset


def _describe_series(dataset: Dataset, sources: EncodingSources, provenance: Provenance) -> None:
    dataset.SOPClassUID = SOP_CLASSES[ResultKind.RTSTRUCT]
    dataset.SOPInstanceUID = provenance.uid("rtstruct", "instance")
    dataset.SeriesInstanceUID = provenance.uid("rtstruct", "series")
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesNumber = STRUCTURES_SERIES_NUMBER
    dataset.SeriesDescription = series_description("metserve contours", provenance)
    dataset.OperatorsName = ""  # type 2; no person made it
    equipment = equipment_attributes(provenance)
    dataset.Manufacturer = equipment["manufacturer"]
    dataset.ManufacturerModelName = equipment["manufacturer_model_name"]
    dataset.SoftwareVersions = list(equipment["software_versions"])
    dataset.DeviceSerialNumber = equipment["device_serial_number"]
    dataset.FrameOfReferenceUID = sources.frame_of_reference_uid
    dataset.PositionReferenceIndicator = sources.t1_post[0].get("PositionReferenceIndicator") or ""


def _describe_set(dataset: Dataset, report: FindingsReport, provenance: Provenance) -> None:
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = STRUCTURE_SET_LABEL
    dataset.StructureSetName = f"Brain metastases found by software, revision {provenance.revision}"
    dataset.StructureSetDescription = (
        f"Filled outlines of {len(report.lesions)} lesions found by software, not reviewed. {NOT_A_DEVICE}"
    )
    dataset.StructureSetDate = provenance.created_at.strftime("%Y%m%d")
    dataset.StructureSetTime = provenance.created_at.strftime("%H%M%S.%f")
    dataset.ApprovalStatus = "UNAPPROVED"


def _region(lesion: Lesion, sources: EncodingSources, provenance: Provenance, style: RegionStyle) -> Dataset:
    volume_cm3 = lesion.filled_volume_mm3 / CUBIC_MILLIMETRES_IN_A_CUBIC_CENTIMETRE
    item = Dataset()
    item.ROINumber = lesion.number
    item.ReferencedFrameOfReferenceUID = sources.frame_of_reference_uid
    item.ROIName = f"{style.name_prefix}{lesion.number:02d}"
    # No attribute of a structure set holds a tracking UID that validators of today know.
    item.ROIDescription = f"{lesion.tracking_id}, tracking UID {lesion.tracking_uid}, not reviewed"
    item.ROIVolume = DSdecimal(format_number_as_ds(round(volume_cm3, 9)))
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = "Outer outline of the enhancing part, filled"
    item.ROIDerivationAlgorithmIdentificationSequence = algorithm_of_segments(provenance)
    return item


def _region_contours(findings: Findings, sources: EncodingSources) -> list[Dataset]:
    outlines = outline_lesions(fill_lesions(findings.label_map_kji))
    planes = read_source_planes(sources.t1_post, sources.slices)
    items = []
    for lesion in findings.lesions:
        item = Dataset()
        item.ROIDisplayColor = list(lesion_colour(lesion.number))
        item.ContourSequence = contour_items(outlines[lesion.number], planes, sources.slices)
        item.ReferencedROINumber = lesion.number
        items.append(item)
    return items


def _observation(lesion: Lesion, style: RegionStyle) -> Dataset:
    item = Dataset()
    item.ObservationNumber = lesion.number
    item.ReferencedROINumber = lesion.number
    item.ROIObservationLabel = lesion.tracking_id
    item.RTROIInterpretedType = style.interpreted_type
    item.ROIInterpreter = ""  # type 2; no person did
    item.SegmentedPropertyCategoryCodeSequence = _coded(style.category)
    item.RTROIIdentificationCodeSequence = _coded(NEOPLASM_SECONDARY)
    if style.therapeutic_role is not None:
        category, role = style.therapeutic_role
        item.TherapeuticRoleCategoryCodeSequence = _coded(category)
        item.TherapeuticRoleTypeCodeSequence = _coded(role)
    return item


def _coded(code: Code) -> list[Dataset]:
    return [CodedConcept.from_code(code)]

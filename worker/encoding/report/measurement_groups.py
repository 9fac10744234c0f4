"""The measurement groups of the report: one summary, and for each lesion a volumetric and a planar one.

Every NUM has a child that says how it was got: viewers read it, OHIF fails without one. The planar
group shares the lesion's tracking UID; viewers merge the two and so can jump to the long axis. The
summary's numbers name an image too: OHIF 3.13 opens no report with a group that has no place.
"""

from __future__ import annotations

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from core.geometry import Grid
from core.lesion import FindingsReport, Lesion, Location
from core.provenance import Provenance
from worker.encoding import codes
from worker.encoding.provenance import algorithm_of_measurements
from worker.encoding.remarks import remarks_of
from worker.encoding.sources import EncodingSources
from worker.volumes import SliceReference

SUMMARY_TRACKING_ID = "Whole brain"

MEASURE_DECIMALS = 3
"""Millimetres and mm3 are written to 0.001: finer than any voxel, short enough to be shown."""

OUTPUT_DECIMALS = 4
"""Network outputs lie between 0 and 1."""

PIXEL_CENTRE = 0.5
"""SCOORD measures from the outer corner of the first pixel, whose centre is (0.5, 0.5) (PS3.3 C.18.6.1.2)."""


def summary_group(
    report: FindingsReport, sources: EncodingSources, provenance: Provenance
) -> MeasurementsAndQualitativeEvaluations:
    """Return the TID 1501 group of the whole brain; a negative study has nothing but this one."""
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(provenance.uid("sr", "summary"), SUMMARY_TRACKING_ID),
        finding_type=codes.METASTASIS,
        finding_sites=[FindingSite(codes.BRAIN)],
        algorithm_id=algorithm_of_measurements(provenance),
        measurements=_totals(report, _summary_place(report, sources)),
    )
    for remark in remarks_of(report):
        group[0].ContentSequence.append(_comment(remark))
    return group


def lesion_group(
    lesion: Lesion, segmentation: Dataset, sources: EncodingSources, algorithm: AlgorithmIdentification
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return the TID 1411 group of a lesion, tied to its segment."""
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(lesion.tracking_uid, lesion.tracking_id),
        finding_type=codes.NEOPLASM_SECONDARY,
        finding_sites=[_finding_site(lesion.location)],
        algorithm_id=algorithm,
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=lesion.number,
            source_series=SourceSeriesForSegmentation(sources.series_instance_uid),
        ),
        measurements=[*_sizes(lesion), *_network_outputs(lesion)],
    )


def long_axis_group(
    lesion: Lesion, sources: EncodingSources, grid: Grid
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return the TID 1410 group that draws the long axis of a lesion on its slice."""
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(lesion.tracking_uid, lesion.tracking_id),
        finding_type=codes.NEOPLASM_SECONDARY,
        finding_sites=[_finding_site(lesion.location)],
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=long_axis_in_image(lesion, grid),
            source_image=_region_source(sources.slices[lesion.slice_index_k]),
        ),
    )


def long_axis_in_image(lesion: Lesion, grid: Grid) -> NDArray[np.float64]:
    """Return the end points of the long axis, 2 x 2, as (column, row) of its image."""
    index_kji = grid.to_index_kji([lesion.long_axis.start_lps_mm, lesion.long_axis.end_lps_mm])
    return np.asarray(index_kji[:, [2, 1]] + PIXEL_CENTRE)


def _finding_site(location: Location) -> FindingSite:
    return FindingSite(
        codes.REGIONS[location.region],
        laterality=None if location.side is None else codes.SIDES[location.side],
        topographical_modifier=codes.REGION_MODIFIERS.get(location.region),
    )


def _summary_place(report: FindingsReport, sources: EncodingSources) -> CoordinatesForMeasurement:
    """Return the corner of an image to open the summary on: of the largest lesion, else the middle one."""
    k = report.lesions[0].slice_index_k if report.lesions else len(sources.slices) // 2
    corner = np.array([[PIXEL_CENTRE, PIXEL_CENTRE]])
    return CoordinatesForMeasurement(GraphicTypeValues.POINT, corner, _region_source(sources.slices[k]))


def _totals(report: FindingsReport, place: CoordinatesForMeasurement) -> list[Measurement]:
    return [
        Measurement(
            codes.NUMBER_OF_LESIONS,
            len(report.lesions),
            codes.LESIONS,
            derivation=codes.TOTAL,
            referenced_coordinates=[place],
        ),
        _volume(codes.VOLUME, report.total_volume_mm3, codes.TOTAL, place),
        _volume(codes.FILLED_VOLUME, report.total_filled_volume_mm3, codes.TOTAL, place),
    ]


def _volume(
    name: Code,
    volume_mm3: float,
    derivation: Code | None = None,
    place: CoordinatesForMeasurement | None = None,
) -> Measurement:
    return Measurement(
        name,
        round(float(volume_mm3), MEASURE_DECIMALS),
        codes.CUBIC_MILLIMETER,
        method=codes.SUM_OF_SEGMENTED_VOXELS,
        derivation=derivation,
        referenced_coordinates=None if place is None else [place],
    )


def _sizes(lesion: Lesion) -> list[Measurement]:
    return [
        _volume(codes.VOLUME, lesion.volume_mm3),
        _volume(codes.FILLED_VOLUME, lesion.filled_volume_mm3),
        _size(codes.LONG_AXIS, lesion.long_axis.length_mm, codes.MILLIMETER, codes.IN_PLANE_AXIS),
        _size(codes.SHORT_AXIS, lesion.short_axis.length_mm, codes.MILLIMETER, codes.IN_PLANE_AXIS),
        _size(
            codes.DIAMETER,
            lesion.longest_diameter_mm,
            codes.MILLIMETER,
            codes.LARGEST_3D_EXTENT,
            derivation=codes.MAXIMUM,
        ),
    ]


def _size(name: Code, value: float, unit: Code, method: Code, derivation: Code | None = None) -> Measurement:
    rounded = round(float(value), MEASURE_DECIMALS)
    return Measurement(name, rounded, unit, method=method, derivation=derivation)


def _network_outputs(lesion: Lesion) -> list[Measurement]:
    """Return what the ensemble said, named as what it is: an uncalibrated output is no certainty."""
    mean = round(float(lesion.mean_probability), OUTPUT_DECIMALS)
    peak = round(float(lesion.peak_probability), OUTPUT_DECIMALS)
    counted = codes.MEMBER_ABOVE_THRESHOLD
    return [
        Measurement(
            codes.MEAN_NETWORK_OUTPUT, mean, codes.NO_UNITS, method=codes.ENSEMBLE_MEAN, derivation=codes.MEAN
        ),
        Measurement(
            codes.PEAK_NETWORK_OUTPUT,
            peak,
            codes.NO_UNITS,
            method=codes.ENSEMBLE_MEAN,
            derivation=codes.MAXIMUM,
        ),
        Measurement(codes.MEMBERS_AGREEING, lesion.members_agreeing, codes.MEMBERS, method=counted),
        Measurement(codes.MEMBERS_TOTAL, lesion.members_total, codes.MEMBERS, method=counted),
    ]


def _region_source(reference: SliceReference) -> SourceImageForRegion:
    frames = None if reference.frame_number is None else [reference.frame_number]
    return SourceImageForRegion(reference.sop_class_uid, reference.sop_instance_uid, frames)


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.COMMENT, text, RelationshipTypeValues.CONTAINS)

"""A case from its images to its results: painted, loaded, encoded and written as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.config import disable_value_validation

from core.geometry import Grid
from core.lesion import FindingsReport, Lesion
from core.provenance import Provenance
from core.results import ResultKind
from core.study import AnalysisMode
from core.uids import derive_uid
from tests.conformance.geometries import Geometry, Kind, Order
from tests.conformance.known_lesions import KNOWN_LESIONS, KnownLesion, Shape, label_map, paint
from tests.dicom_sources import STUDY_UID, classic_series, enhanced_series, make_patient
from tests.encoded_study import CREATED_AT, MODEL
from worker.encoding import EncodingSources, Pictures, SiteChoices, encode, to_bytes
from worker.filling import fill_lesions
from worker.lesions import Findings
from worker.measures import measure
from worker.volumes import Volume, load_volume

SITE = SiteChoices(probability_map=True)
SERIES = {Kind.CLASSIC: classic_series, Kind.ENHANCED: enhanced_series}


@dataclass(frozen=True, eq=False)
class EncodedCase:
    """A case's truth, what was found and what was written.

    Parameters
    ----------
    files
        Of every result, by kind.
    source_files
        Of the T1-post and T1 series.
    classic_folder
        The T1-post series as classic images, for readers that know no Enhanced MR.
    """

    geometry: Geometry
    truth: list[KnownLesion]
    lesions: tuple[Lesion, ...]
    objects: Mapping[ResultKind, Dataset]
    files: Mapping[ResultKind, Path]
    source_files: list[Path]
    classic_folder: Path


def encode_case(
    geometry: Geometry,
    folder: Path,
    shapes: Sequence[Shape] = KNOWN_LESIONS,
    predecessor: bool = False,
    pictures: bool = False,
) -> EncodedCase:
    """Make the series of a case, load it, encode what was painted into it, write everything to files.

    With ``pictures`` there are overview, PDF and probability map too: they take seconds.
    """
    t1_post, truth = _painted_series(geometry, shapes)
    t1 = _series(geometry, "t1")
    volume = load_volume(t1_post)
    findings = _findings(volume)
    sources = EncodingSources(tuple(t1_post), tuple(t1), volume.slices)
    objects = _encode(findings, sources, volume, 1, pictures)
    if predecessor:
        sources = replace(sources, predecessor=objects[ResultKind.SR])
        objects = _encode(findings, sources, volume, 2, pictures)
    classic, _ = _painted_series(replace(geometry, kind=Kind.CLASSIC), shapes)
    for dataset in classic:
        _write(dataset, folder / "classic")
    return EncodedCase(
        geometry=geometry,
        truth=truth,
        lesions=findings.lesions,
        objects=objects,
        files={kind: _write(dataset, folder / "results") for kind, dataset in objects.items()},
        source_files=[_write(dataset, folder / "sources") for dataset in [*t1_post, *t1]],
        classic_folder=folder / "classic",
    )


def _painted_series(geometry: Geometry, shapes: Sequence[Shape]) -> tuple[list[Dataset], list[KnownLesion]]:
    instances = _series(geometry, "t1 post")
    return instances, paint(instances, geometry, shapes)


def _series(geometry: Geometry, name: str) -> list[Dataset]:
    patient = make_patient(geometry.patient_name, geometry.character_set)
    instances = list(SERIES[geometry.kind](geometry.grid(), name, patient)[0])
    for dataset in instances:
        dataset.PatientPosition = geometry.patient_position
    if geometry.order is not Order.SHUFFLED:
        instances.sort(key=lambda dataset: int(dataset.InstanceNumber))
    return instances[::-1] if geometry.order is Order.SORTED else instances


def _findings(volume: Volume) -> Findings:
    labels = label_map(volume.voxels_kji)
    filled = fill_lesions(labels)
    numbers = range(1, int(labels.max()) + 1)
    return Findings(labels, volume.grid, tuple(_lesion(labels, filled, volume.grid, n) for n in numbers))


def _lesion(labels: NDArray[np.uint16], filled: NDArray[np.uint16], grid: Grid, number: int) -> Lesion:
    size = measure(np.argwhere(labels == number), grid)
    return Lesion(
        number=number,
        tracking_id=f"BM-{number:02d}",
        tracking_uid=derive_uid(STUDY_UID, "lesion", str(number)),
        volume_mm3=size.volume_mm3,
        filled_volume_mm3=int(np.count_nonzero(filled == number)) * grid.voxel_volume_mm3,
        centroid_lps_mm=size.centroid_lps_mm,
        extent_min_lps_mm=size.extent_min_lps_mm,
        extent_max_lps_mm=size.extent_max_lps_mm,
        longest_diameter_mm=size.longest_diameter_mm,
        slice_index_k=size.slice_index_k,
        long_axis=size.long_axis,
        short_axis=size.short_axis,
        mean_probability=0.8123,
        peak_probability=0.98765,
        members_agreeing=7,
        members_total=8,
    )


def _encode(
    findings: Findings, sources: EncodingSources, volume: Volume, revision: int, with_pictures: bool
) -> Mapping[ResultKind, Dataset]:
    provenance = Provenance(STUDY_UID, revision, MODEL, "0.1.0", CREATED_AT)
    report = FindingsReport(
        study_instance_uid=STUDY_UID,
        series_instance_uid=sources.series_instance_uid,
        revision=revision,
        mode=AnalysisMode.FULL,
        threshold=0.4,
        model=MODEL,
        lesions=findings.lesions,
        flags=(),
        registration=None,
        brain_volume_mm3=1_400_000.0,
        software_version="0.1.0",
    )
    probability_kji = (findings.label_map_kji > 0).astype(np.float32) * np.float32(0.8)
    pictures = Pictures(volume.voxels_kji, probability_kji) if with_pictures else None
    site = replace(SITE, rejection_note=revision > 1)
    return encode(findings, report, sources, provenance, pictures, site).objects


def _write(dataset: Dataset, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    with disable_value_validation():
        path.write_bytes(to_bytes(dataset))
    return path

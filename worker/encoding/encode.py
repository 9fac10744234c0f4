"""Findings -> DICOM objects: built, stamped, written, read back and checked."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.config import disable_value_validation

from core.errors import Defect
from core.lesion import FindingsReport
from core.provenance import Provenance
from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.encoding.identity import read_identity
from worker.encoding.part10 import to_bytes
from worker.encoding.provenance import Stamp
from worker.encoding.seg import build_segmentation
from worker.encoding.sources import EncodingSources
from worker.encoding.sr import build_report
from worker.encoding.verify import verify_segmentation
from worker.encoding.verify_sr import verify_report
from worker.lesions import Findings


@dataclass(frozen=True, eq=False)
class EncodedResults:
    """The objects of one analysis, as they were read back from their bytes.

    Parameters
    ----------
    seg
        DICOM Segmentation; None for a study without lesions.
    sr
        Comprehensive 3D SR; there is always one.
    """

    seg: Dataset | None
    sr: Dataset


def encode(
    findings: Findings,
    report: FindingsReport,
    sources: EncodingSources,
    provenance: Provenance,
    site_codes: SiteCodes = DEFAULT_SITE_CODES,
) -> EncodedResults:
    """Return the DICOM objects of one analysis; the same arguments give the same bytes.

    Raises
    ------
    Defect
        The arguments contradict each other, or an object read back does not say what was found.
    """
    _check_arguments(findings, report, sources)
    with disable_value_validation():  # what a scanner wrote is referred to as it is, conformant or not
        stamp = Stamp(read_identity(sources.t1_post[0]), provenance, site_codes)
        seg = None
        if findings.lesions:
            segmentation = build_segmentation(findings, sources, provenance)
            seg = verify_segmentation(to_bytes(stamp.applied_to(segmentation)), findings, sources)
        document = build_report(report, findings.grid, seg, sources, provenance, site_codes)
        sr = verify_report(to_bytes(stamp.applied_to(document)), seg, findings.grid, report, sources)
    return EncodedResults(seg, sr)


def _check_arguments(findings: Findings, report: FindingsReport, sources: EncodingSources) -> None:
    if findings.label_map_kji.shape != findings.grid.shape_kji:
        raise Defect(f"label map has shape {findings.label_map_kji.shape}, grid {findings.grid.shape_kji}")
    if len(sources.slices) != findings.grid.shape_kji[0]:
        raise Defect(f"{len(sources.slices)} slice references for {findings.grid.shape_kji[0]} slices")
    if findings.lesions != report.lesions:
        raise Defect(
            f"report lists {len(report.lesions)} lesions, findings {len(findings.lesions)}, or others"
        )

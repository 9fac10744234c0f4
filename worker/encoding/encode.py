"""Findings -> DICOM objects: built, stamped, written, read back and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.config import disable_value_validation

from core.errors import Defect
from core.lesion import FindingsReport
from core.provenance import Provenance
from core.results import ResultKind, StructureStyle
from worker.encoding.captures.encode import encode_captures
from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.encoding.identity import read_identity
from worker.encoding.part10 import to_bytes
from worker.encoding.provenance import Stamp
from worker.encoding.rejection.build import build_rejection_note
from worker.encoding.rejection.verify import verify_rejection_note
from worker.encoding.report.build import build_report
from worker.encoding.report.verify import verify_report
from worker.encoding.segmentation.build import build_segmentation
from worker.encoding.segmentation.probability import (
    build_probability_map,
    is_worth_a_map,
    verify_probability_map,
)
from worker.encoding.segmentation.verify import verify_segmentation
from worker.encoding.sources import EncodingSources
from worker.encoding.structures.build import build_structure_set
from worker.encoding.structures.verify import verify_structure_set
from worker.lesions import Findings


@dataclass(frozen=True, slots=True)
class SiteChoices:
    """What a site may choose about its results.

    Parameters
    ----------
    codes
        Codes of its own.
    structure_style
        Names and types of the regions of a structure set.
    probability_map
        Whether ``Pictures`` are to hold the ensemble's mean output, for a fractional segmentation.
    rejection_note
        Whether ``EncodingSources`` are to hold the superseded objects, for a note that rejects them.
    """

    codes: SiteCodes = DEFAULT_SITE_CODES
    structure_style: StructureStyle = StructureStyle.NEUTRAL
    probability_map: bool = False
    rejection_note: bool = False


DEFAULT_SITE = SiteChoices()


@dataclass(frozen=True, eq=False)
class Pictures:
    """The voxels that results show, on the T1-post grid.

    Parameters
    ----------
    t1_post_kji
        The T1-post images, float32, any scale; the overview draws lesions on them.
    probability_kji
        Mean output of the members, float32, 0 to 1; None where no map is asked for.
    """

    t1_post_kji: NDArray[np.float32]
    probability_kji: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class EncodedResults:
    """The objects of one analysis, as they were read back from their bytes.

    Parameters
    ----------
    objects
        By kind, in the order in which they refer to each other. There is always an SR; a study without
        lesions has neither SEG nor RTSTRUCT.
    """

    objects: Mapping[ResultKind, Dataset]

    @property
    def seg(self) -> Dataset | None:
        """The segmentation; None for a study without lesions."""
        return self.objects.get(ResultKind.SEG)

    @property
    def sr(self) -> Dataset:
        """The report."""
        return self.objects[ResultKind.SR]


def encode(
    findings: Findings,
    report: FindingsReport,
    sources: EncodingSources,
    provenance: Provenance,
    pictures: Pictures | None = None,
    site: SiteChoices = DEFAULT_SITE,
) -> EncodedResults:
    """Return the DICOM objects of one analysis; the same arguments give the same bytes.

    Parameters
    ----------
    pictures
        Without them there is no overview, no PDF and no probability map.

    Raises
    ------
    Defect
        The arguments contradict each other, or an object read back does not say what was found.
    """
    _check_arguments(findings, report, sources)
    with disable_value_validation():  # what a scanner wrote is referred to as it is, conformant or not
        stamp = Stamp(read_identity(sources.t1_post[0]), provenance, site.codes)
        encoding = _Encoding(findings, report, sources, provenance, site, stamp)
        objects: dict[ResultKind, Dataset] = {}
        if findings.lesions:
            objects[ResultKind.SEG] = encoding.segmentation()
            objects[ResultKind.RTSTRUCT] = encoding.structure_set()
        objects[ResultKind.SR] = encoding.structured_report(objects.get(ResultKind.SEG))
        if pictures is not None:
            objects |= encode_captures(findings, report, sources, stamp, pictures.t1_post_kji)
            if pictures.probability_kji is not None and is_worth_a_map(pictures.probability_kji):
                objects[ResultKind.PROBABILITY] = encoding.probability_map(pictures.probability_kji)
        if sources.superseded:
            objects[ResultKind.REJECTION] = encoding.rejection_note()
    return EncodedResults(objects)


@dataclass(frozen=True, eq=False)
class _Encoding:
    """One analysis on its way into objects: each is built, stamped, written, read back and checked."""

    findings: Findings
    report: FindingsReport
    sources: EncodingSources
    provenance: Provenance
    site: SiteChoices
    stamp: Stamp

    def segmentation(self) -> Dataset:
        built = build_segmentation(self.findings, self.sources, self.provenance)
        return verify_segmentation(self._written(built), self.findings, self.sources)

    def structure_set(self) -> Dataset:
        style = self.site.structure_style
        built = build_structure_set(self.findings, self.report, self.sources, self.provenance, style)
        return verify_structure_set(self._written(built), self.findings, self.sources, style)

    def structured_report(self, seg: Dataset | None) -> Dataset:
        grid, codes = self.findings.grid, self.site.codes
        built = build_report(self.report, grid, seg, self.sources, self.provenance, codes)
        return verify_report(self._written(built), seg, grid, self.report, self.sources)

    def probability_map(self, probability_kji: NDArray[np.float32]) -> Dataset:
        built = build_probability_map(self.findings, probability_kji, self.sources, self.provenance)
        return verify_probability_map(self._written(built), probability_kji, self.findings.grid, self.sources)

    def rejection_note(self) -> Dataset:
        superseded = self.sources.superseded
        built = build_rejection_note(superseded, self.sources, self.provenance)
        return verify_rejection_note(self._written(built), superseded)

    def _written(self, built: Dataset) -> bytes:
        return to_bytes(self.stamp.applied_to(built))


def _check_arguments(findings: Findings, report: FindingsReport, sources: EncodingSources) -> None:
    if findings.label_map_kji.shape != findings.grid.shape_kji:
        raise Defect(f"label map has shape {findings.label_map_kji.shape}, grid {findings.grid.shape_kji}")
    if len(sources.slices) != findings.grid.shape_kji[0]:
        raise Defect(f"{len(sources.slices)} slice references for {findings.grid.shape_kji[0]} slices")
    if findings.lesions != report.lesions:
        raise Defect(
            f"report lists {len(report.lesions)} lesions, findings {len(findings.lesions)}, or others"
        )

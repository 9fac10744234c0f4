"""Results by kind: what an analysis can publish, under the names that files, settings and REST share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ResultKind(StrEnum):
    """A DICOM object that a job may publish."""

    SEG = "seg"
    """Segmentation, one segment a lesion; none for a study without lesions."""
    SR = "sr"
    """TID 1500 report; there always is one."""
    RTSTRUCT = "rtstruct"
    """Outer contours of the filled lesions; none for a study without lesions."""
    OVERVIEW = "overview"
    """Secondary capture for a PACS that draws none of the others."""
    PDF = "pdf"
    """The same as pages."""
    PROBABILITY = "probability"
    """Fractional segmentation of the ensemble's mean output, where a site asks for it."""
    REJECTION = "rejection"
    """Key object note that rejects the superseded revision's objects (IHE IOCM), where a site asks for it."""
    NOTICE = "notice"
    """Secondary capture that says why a study was not analysed."""


SOP_CLASSES: Mapping[ResultKind, str] = MappingProxyType(
    {
        ResultKind.SEG: "1.2.840.10008.5.1.4.1.1.66.4",
        ResultKind.SR: "1.2.840.10008.5.1.4.1.1.88.34",
        ResultKind.RTSTRUCT: "1.2.840.10008.5.1.4.1.1.481.3",
        ResultKind.OVERVIEW: "1.2.840.10008.5.1.4.1.1.7.4",
        ResultKind.PDF: "1.2.840.10008.5.1.4.1.1.104.1",
        ResultKind.PROBABILITY: "1.2.840.10008.5.1.4.1.1.66.4",
        ResultKind.REJECTION: "1.2.840.10008.5.1.4.1.1.88.59",
        ResultKind.NOTICE: "1.2.840.10008.5.1.4.1.1.7.4",
    }
)
"""PS3.4 B.5; the overview and the notice are Multi-frame True Color Secondary Capture."""


class StructureStyle(StrEnum):
    """How a structure set names and types its regions."""

    NEUTRAL = "neutral"
    """AI_BM01, interpreted type empty: a finding, not yet a target."""
    TARGET = "target"
    """GTV_BM01, interpreted type GTV: for a site whose planning system asks for it."""

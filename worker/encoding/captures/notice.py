"""The notice that stands in the study in place of results: it was not analysed, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.config import disable_value_validation

from core.provenance import RESEARCH_USE_NOTICE, Provenance
from core.results import ResultKind
from worker.encoding.captures.secondary_capture import CaptureSeries, build_capture
from worker.encoding.captures.verify import verify_notice
from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.encoding.identity import read_identity
from worker.encoding.part10 import to_bytes
from worker.encoding.provenance import Stamp
from worker.overview.notice import notice_sheet
from worker.overview.pixels import draw_pixels

NOTICE_SERIES = CaptureSeries(ResultKind.NOTICE, 9006, "metserve not analysed")
DERIVATION = "Page of text made by software: why the study was not analysed"


def encode_notice(
    source: Dataset,
    reason: str,
    message: str,
    provenance: Provenance,
    codes: SiteCodes = DEFAULT_SITE_CODES,
) -> Dataset:
    """Return the notice, stamped, written, read back and checked; the same arguments give the same bytes.

    Parameters
    ----------
    source
        The header of any instance of the study; it may lack attributes and need not be MR.
    reason
        The value of an ``UnsuitableReason``, or another word.
    message
        What was found and what was expected.

    Raises
    ------
    Defect
        The notice read back is not the one that was drawn.
    """
    with disable_value_validation():
        identity = _identity(source, provenance)
        notice = build_notice(source, reason, message, provenance)
        content = to_bytes(Stamp(identity, provenance, codes).applied_to(notice))
        return verify_notice(content, draw_notice(reason, message, provenance), identity.StudyInstanceUID)


def build_notice(source: Dataset, reason: str, message: str, provenance: Provenance) -> Dataset:
    """Return the notice, not yet stamped; its arguments are those of ``encode_notice``."""
    pages = [draw_notice(reason, message, provenance)]
    notice = build_capture(pages, NOTICE_SERIES, provenance, DERIVATION)
    notice.Laterality = None  # type 2C: what the study shows is not known
    notice.StudyInstanceUID = _identity(source, provenance).StudyInstanceUID
    return notice


def draw_notice(reason: str, message: str, provenance: Provenance) -> NDArray[np.uint8]:
    """Return the page of a notice, RGB."""
    model = provenance.model
    made_by = f"metserve {provenance.software_version}, model set {model.name} {model.version}"
    return draw_pixels(notice_sheet(reason, message, (RESEARCH_USE_NOTICE, made_by)))


def _identity(source: Dataset, provenance: Provenance) -> Dataset:
    """Return patient and study of the source; a header without a study is filed under the one analysed."""
    identity = read_identity(source)
    if not identity.StudyInstanceUID:
        identity.StudyInstanceUID = provenance.study_instance_uid
    return identity

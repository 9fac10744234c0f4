"""The same pages as an encapsulated PDF (PS3.3 A.45.1), with text that can be selected and searched."""

from __future__ import annotations

from highdicom.sr import CodedConcept
from pydicom import Dataset

from core.provenance import Provenance
from core.results import ResultKind
from worker.encoding.captures.pages import slices_shown, source_instances
from worker.encoding.captures.secondary_capture import CaptureSeries, document_attributes
from worker.encoding.codes import IMAGING_MEASUREMENT_REPORT
from worker.encoding.sources import EncodingSources
from worker.overview.content import Overview

PDF_SERIES = CaptureSeries(ResultKind.PDF, 9005, "metserve report")
PDF_MIME_TYPE = "application/pdf"
DOCUMENT_TITLE = "Brain metastases found by software, research use"


def build_pdf(
    document: bytes, overview: Overview, sources: EncodingSources, provenance: Provenance
) -> Dataset:
    """Return the encapsulated PDF, not yet stamped.

    Parameters
    ----------
    document
        The PDF, drawn of ``overview``.
    """
    dataset = document_attributes(PDF_SERIES, provenance)
    dataset.Modality = "DOC"
    dataset.AcquisitionDateTime = None
    dataset.SourceInstanceSequence = source_instances(sources, slices_shown(overview))
    dataset.DocumentTitle = DOCUMENT_TITLE
    dataset.ConceptNameCodeSequence = [CodedConcept.from_code(IMAGING_MEASUREMENT_REPORT)]
    dataset.MIMETypeOfEncapsulatedDocument = PDF_MIME_TYPE
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    dataset.EncapsulatedDocumentLength = len(document)
    return dataset

"""Headers of the superseded objects -> Key Object Selection Document that rejects them.

IHE IOCM knows four titles. Patient safety, a wrong worklist entry and expired retention tell an archive
to withhold or delete what is named. A superseded result is none of these: it stays as a record of what
was reported, and is not to be shown by default. That is what "Rejected for Quality Reasons" asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import Defect
from core.provenance import MANUFACTURER, Provenance
from worker.encoding.codes import REJECTED_FOR_QUALITY_REASONS
from worker.encoding.provenance import device_observer, equipment_attributes, series_description
from worker.encoding.sources import EncodingSources

REJECTION_SERIES_NUMBER = 9008
"""After every result."""


def build_rejection_note(
    superseded: Sequence[Dataset], sources: EncodingSources, provenance: Provenance
) -> Dataset:
    """Return the note that rejects an earlier revision's objects, not yet stamped.

    Parameters
    ----------
    superseded
        Headers of all objects that the revision published; pixel data are not needed.

    Raises
    ------
    Defect
        There is none, or one belongs to another study or to the source series.
    """
    _check_superseded(superseded, sources)
    references = [_reference(dataset) for dataset in superseded]
    return KeyObjectSelectionDocument(
        evidence=references,
        content=KeyObjectSelection(
            document_title=CodedConcept.from_code(REJECTED_FOR_QUALITY_REASONS),
            referenced_objects=references,
            observer_device_context=device_observer(provenance),
            description=f"Superseded by revision {provenance.revision} of the same analysis.",
        ),
        series_instance_uid=provenance.uid("rejection", "series"),
        series_number=REJECTION_SERIES_NUMBER,
        sop_instance_uid=provenance.uid("rejection", "instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=series_description("metserve rejection note", provenance),
        **{k: v for k, v in equipment_attributes(provenance).items() if k != "manufacturer"},
    )


def _check_superseded(superseded: Sequence[Dataset], sources: EncodingSources) -> None:
    if not superseded:
        raise Defect("a rejection note without an object to reject, expected one at least")
    study = str(sources.t1_post[0].StudyInstanceUID)
    images = {str(s[0].SeriesInstanceUID) for s in (sources.t1_post, sources.t1) if s}
    for dataset in superseded:
        if str(dataset.StudyInstanceUID) != study or str(dataset.SeriesInstanceUID) in images:
            raise Defect(
                f"{dataset.SOPInstanceUID} of series {dataset.SeriesInstanceUID} is to be rejected, "
                f"expected a result of study {study}"
            )


def _reference(dataset: Dataset) -> Dataset:
    """Return what a note needs of an object; identity is applied to the finished note."""
    reference = Dataset()
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        setattr(reference, keyword, "")
    for keyword in ("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(reference, keyword, "")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "Modality"):
        setattr(reference, keyword, dataset[keyword].value)
    for keyword in ("Rows", "Columns"):  # tells an image from a document
        if keyword in dataset:
            setattr(reference, keyword, dataset[keyword].value)
    return reference

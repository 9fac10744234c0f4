"""The rejection note, read back from its bytes, must name what it supersedes and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from worker.encoding.agreement import check_same
from worker.encoding.part10 import from_bytes

REFERENCES = ("IMAGE", "COMPOSITE")


def verify_rejection_note(content: bytes, superseded: Sequence[Dataset]) -> Dataset:
    """Read a note back, compare it with what it rejects, and return it as read.

    Raises
    ------
    Defect
        Another title, or it names other objects: a wrong one would take somebody's images out of sight.
    """
    note = from_bytes(content)
    title = note.ConceptNameCodeSequence[0]
    check_same("title", (title.CodingSchemeDesignator, title.CodeValue), ("DCM", "113001"))
    expected = sorted(_key(dataset) for dataset in superseded)
    check_same("evidence of the note", _evidence(note), expected)
    uids = sorted((class_uid, instance_uid) for _, _, class_uid, instance_uid in expected)
    check_same("objects the note names", _named(note), uids)
    return note


def _key(dataset: Dataset) -> tuple[str, str, str, str]:
    return (
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
    )


def _evidence(note: Dataset) -> list[tuple[str, str, str, str]]:
    return sorted(
        (
            str(study.StudyInstanceUID),
            str(series.SeriesInstanceUID),
            str(instance.ReferencedSOPClassUID),
            str(instance.ReferencedSOPInstanceUID),
        )
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    )


def _named(note: Dataset) -> list[tuple[str, str]]:
    references = [item.ReferencedSOPSequence[0] for item in note.ContentSequence if _is_reference(item)]
    return sorted((str(r.ReferencedSOPClassUID), str(r.ReferencedSOPInstanceUID)) for r in references)


def _is_reference(item: Dataset) -> bool:
    return item.ValueType in REFERENCES

"""The rejection note: it names what is superseded, all of it and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation

from core.errors import Defect
from tests.encoded_study import EncodedStudy, make_study
from tests.judges import validation_errors
from worker.encoding.codes import DEFAULT_SITE_CODES
from worker.encoding.identity import read_identity
from worker.encoding.part10 import from_bytes, to_bytes
from worker.encoding.provenance import Stamp
from worker.encoding.rejection.build import build_rejection_note
from worker.encoding.rejection.verify import verify_rejection_note

Mutation = Callable[[Dataset], None]


@pytest.fixture(scope="module")
def study() -> EncodedStudy:
    return make_study()


@pytest.fixture(scope="module")
def superseded(study: EncodedStudy) -> list[Dataset]:
    return list(study.encode().objects.values())


@pytest.fixture(scope="module")
def content(study: EncodedStudy, superseded: list[Dataset]) -> bytes:
    return written(study, superseded)


def written(study: EncodedStudy, superseded: Sequence[Dataset]) -> bytes:
    provenance = replace(study.provenance, revision=2)
    with disable_value_validation():
        note = build_rejection_note(superseded, study.sources, provenance)
        stamp = Stamp(read_identity(study.sources.t1_post[0]), provenance, DEFAULT_SITE_CODES)
        return to_bytes(stamp.applied_to(note))


def test_the_validator_finds_no_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "note.dcm"
    path.write_bytes(content)
    assert validation_errors(path) == []


def test_it_is_a_key_object_note_that_rejects_every_object(superseded, content: bytes) -> None:
    note = verify_rejection_note(content, superseded)
    assert note.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.59"
    assert note.Modality == "KO"
    assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
    texts = [item.TextValue for item in note.ContentSequence if item.ValueType == "TEXT"]
    assert "Superseded by revision 2 of the same analysis." in texts


def test_the_patient_is_that_of_the_study(study: EncodedStudy, content: bytes) -> None:
    assert from_bytes(content).PatientID == study.sources.t1_post[0].PatientID


def test_the_same_objects_give_the_same_bytes(study, superseded, content: bytes) -> None:
    assert written(study, superseded) == content


def test_there_is_no_note_about_nothing(study: EncodedStudy) -> None:
    with pytest.raises(Defect, match="without an object"):
        written(study, [])


def test_a_source_image_is_never_rejected(study, superseded) -> None:
    with pytest.raises(Defect, match="is to be rejected"):
        written(study, [*superseded, study.sources.t1_post[0]])


def test_an_object_of_another_study_is_never_rejected(study, superseded) -> None:
    stranger = from_bytes(to_bytes(superseded[0]))
    stranger.StudyInstanceUID = "1.2.3"
    with pytest.raises(Defect, match="is to be rejected"):
        written(study, [stranger])


def name_one_less(note: Dataset) -> None:
    del note.ContentSequence[-1]


def forget_one_as_evidence(note: Dataset) -> None:
    del note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]


def name_a_stranger(note: Dataset) -> None:
    note.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def reject_for_patient_safety(note: Dataset) -> None:
    note.ConceptNameCodeSequence[0].CodeValue = "113037"


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (name_one_less, "objects the note names"),
        (forget_one_as_evidence, "evidence of the note"),
        (name_a_stranger, "objects the note names"),
        (reject_for_patient_safety, "title"),
    ],
)
def test_a_wrong_note_is_caught(superseded, content: bytes, mutate: Mutation, message: str) -> None:
    note = from_bytes(content)
    mutate(note)
    with pytest.raises(Defect, match=message):
        verify_rejection_note(to_bytes(note), superseded)

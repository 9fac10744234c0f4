"""Patient and study: names in any script survive, malformed values cost only themselves."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation

from tests.dicom_sources import make_patient
from tests.encoded_study import LARGE, make_study
from worker.encoding import to_bytes
from worker.encoding.identity import read_identity
from worker.encoding.part10 import from_bytes

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("name", "character_set"),
    [
        ("Doe^Jane", None),
        ("Müller^Änne", "ISO_IR 100"),
        ("Иванова^Анна", "ISO_IR 144"),
        ("Wang^XiaoDong=王^小东", "ISO_IR 192"),
        (JAPANESE, ["", "ISO 2022 IR 87"]),
    ],
)
def test_names_survive_in_every_character_set(name, character_set) -> None:
    results = _study_of(make_patient(name, character_set)).encode()
    for dataset in (results.seg, results.sr):
        assert dataset is not None
        read = from_bytes(to_bytes(dataset))
        assert str(read.PatientName) == name
        assert read.get("SpecificCharacterSet") == character_set


def test_an_undeclared_latin_name_is_declared_as_utf_8() -> None:
    patient = make_patient("Müller^Änne", "ISO_IR 100")
    content = to_bytes(_study_of(patient).sources.t1_post[0])
    source = from_bytes(content.replace(b"ISO_IR 100", b"ISO_IR 6  "))
    assert str(read_identity(source).PatientName) == "Müller^Änne"
    assert read_identity(source).SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("PatientAge", "66", None),
        ("PatientAge", "066Y", "066Y"),
        ("PatientBirthDate", "29.02.1960", ""),
        ("PatientBirthDate", "19600230", ""),
        ("PatientSex", "female", ""),
        ("PatientName", "A" * 70, ""),
        ("PatientID", "M" * 70, "M" * 70),
        ("IssuerOfPatientID", "S" * 70, None),
    ],
)
def test_a_malformed_value_is_left_out_and_the_study_goes_on(keyword, value, kept) -> None:
    study = _study_of(_patient_with(keyword, value))
    results = study.encode()
    for dataset in (results.seg, results.sr):
        assert dataset is not None
        with disable_value_validation():
            found = dataset.get(keyword)
        assert (found if found is None else str(found)) == kept


def test_malformed_bytes_in_a_file_are_left_out_too() -> None:
    content = to_bytes(_study_of(make_patient()).sources.t1_post[0])
    source = from_bytes(content.replace(b"066Y", b"66 J").replace(b"61.5", b"61,5"))
    identity = read_identity(source)
    assert "PatientAge" not in identity
    assert "PatientWeight" not in identity


def test_an_unknown_character_set_costs_no_result() -> None:
    content = to_bytes(_study_of(make_patient("Doe^Jane", "ISO_IR 100")).sources.t1_post[0])
    with pytest.warns(UserWarning, match="Unknown encoding"):
        source = from_bytes(content.replace(b"ISO_IR 100", b"ISO_IR 999"))
    identity = read_identity(source)
    assert str(identity.PatientName) == "Doe^Jane"
    assert identity.SpecificCharacterSet == "ISO_IR 192"


def test_missing_type_2_values_are_present_and_empty() -> None:
    source = Dataset()
    source.StudyInstanceUID = "1.2.3"
    identity = read_identity(source)
    for keyword in ("PatientName", "PatientID", "PatientSex", "StudyDate", "AccessionNumber"):
        assert keyword in identity
        assert not identity[keyword].value


def _patient_with(keyword: str, value: str) -> Dataset:
    patient = make_patient()
    if keyword in patient:
        del patient[keyword]
    with disable_value_validation():
        setattr(patient, keyword, value)
    return patient


def _study_of(patient: Dataset):
    with disable_value_validation():
        return make_study(boxes=(LARGE,), patient=patient, with_t1=False)

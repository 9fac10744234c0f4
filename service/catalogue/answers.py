"""Answers: rows of the catalogue as data sets with DICOM's attributes, in UTF-8 (PS3.3 C.12.1.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom import Dataset

from core.database import StudyRow
from service.catalogue.counts import StudyContents

UTF_8 = "ISO_IR 192"


def patient_answer(columns: Mapping[str, Any]) -> Dataset:
    """Return the attributes of a patient."""
    answer = Dataset()
    answer.SpecificCharacterSet = UTF_8
    for keyword, value in columns.items():
        setattr(answer, keyword, value)
    return answer


def study_answer(study: StudyRow, contents: StudyContents) -> Dataset:
    """Return the attributes of a study and its patient."""
    answer = Dataset()
    answer.SpecificCharacterSet = UTF_8
    answer.PatientName = study.patient_name
    answer.PatientID = study.patient_id
    if study.issuer_of_patient_id:
        answer.IssuerOfPatientID = study.issuer_of_patient_id
    answer.PatientBirthDate = study.patient_birth_date
    answer.PatientSex = study.patient_sex
    answer.StudyInstanceUID = study.study_instance_uid
    answer.StudyDate = study.study_date
    answer.StudyTime = study.study_time
    answer.StudyDescription = study.study_description
    answer.AccessionNumber = study.accession_number
    answer.ModalitiesInStudy = list(contents.modalities)
    answer.NumberOfStudyRelatedSeries = contents.number_of_series
    answer.NumberOfStudyRelatedInstances = contents.number_of_instances
    return answer


def series_answer(
    study: StudyRow, contents: StudyContents, series: Mapping[str, Any], number_of_instances: int
) -> Dataset:
    """Return the attributes of a series, its study and patient."""
    answer = study_answer(study, contents)
    _add_series(answer, series)
    answer.NumberOfSeriesRelatedInstances = number_of_instances
    return answer


def image_answer(study: StudyRow, contents: StudyContents, image: Mapping[str, Any]) -> Dataset:
    """Return the attributes of an instance, its series, study and patient."""
    answer = study_answer(study, contents)
    _add_series(answer, image)
    answer.SOPClassUID = image["SOPClassUID"]
    answer.SOPInstanceUID = image["SOPInstanceUID"]
    answer.InstanceNumber = image["InstanceNumber"]
    answer.AvailableTransferSyntaxUID = image["AvailableTransferSyntaxUID"]
    if image["Rows"] and image["Columns"]:
        answer.Rows, answer.Columns = image["Rows"], image["Columns"]
        if (image["NumberOfFrames"] or 1) > 1:
            answer.NumberOfFrames = image["NumberOfFrames"]
    return answer


def _add_series(answer: Dataset, series: Mapping[str, Any]) -> None:
    answer.Modality = series["Modality"]
    answer.SeriesInstanceUID = series["SeriesInstanceUID"]
    answer.SeriesNumber = series["SeriesNumber"]
    answer.SeriesDescription = series["SeriesDescription"]

"""Received instances with small files, beside the records of jobs and results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from sqlalchemy import select

from core.database import InstanceRow, SeriesRow, StudyRow
from core.headers import INSTANCE_HEADER, read_instance_header
from service.catalogue.indexing import Indexer
from tests.service.service_records import (
    NOON,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_UID,
    MovedClock,
    Records,
    study_row,
)

SENDER = "ROUTER"


def index(records: Records) -> int:
    return Indexer(records.sessions, records.read_sessions, records.store, MovedClock()).index_due()


def slice_uid(number: int, series: int = 1, study_uid: str = STUDY_UID) -> str:
    return f"{study_uid}.{series}.{number}"


def mr_slice(number: int, series: int = 1, study_uid: str = STUDY_UID) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, slice_uid(number, series, study_uid)
    dataset.Modality, dataset.InstanceNumber, dataset.SeriesNumber = "MR", number, series
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, f"{study_uid}.{series}"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.Rows, dataset.Columns = 4, 6
    dataset.PixelData = bytes(range(48))
    return dataset


def receive(
    records: Records,
    dataset: Dataset,
    *,
    sender: str = SENDER,
    transfer_syntax: UID = ExplicitVRLittleEndian,
    **study_fields: Any,
) -> InstanceRow:
    """Keep an instance as the receiver leaves it: file and row."""
    uid = str(dataset.SOPInstanceUID)
    relative = records.store.instance_path(str(dataset.StudyInstanceUID), uid, "0" * 64)
    path = records.store.resolve(relative)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.save_as(path, enforce_file_format=True, implicit_vr=transfer_syntax == ImplicitVRLittleEndian)
    with records.sessions.begin() as session:
        row = InstanceRow(
            series=_series(session, dataset, study_fields),
            sop_instance_uid=uid,
            sop_class_uid=str(dataset.SOPClassUID),
            transfer_syntax_uid=str(transfer_syntax),
            sha256="0" * 64,
            size_bytes=path.stat().st_size,
            path=relative,
            header=INSTANCE_HEADER.dump_python(read_instance_header(dataset), mode="json"),
            calling_ae_title=sender,
            received_at=NOON,
        )
        session.add(row)
    return row


def _series(session: Any, dataset: Dataset, study_fields: dict[str, Any]) -> SeriesRow:
    study_uid, series_uid = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
    study = session.scalar(select(StudyRow).where(StudyRow.study_instance_uid == study_uid))
    if study is None:
        study = study_row(study_uid, **study_fields)
        study.series = []
        session.add(study)
    for series in study.series:
        if series.series_instance_uid == series_uid:
            return series
    series = SeriesRow(
        study=study,
        series_instance_uid=series_uid,
        modality=str(dataset.Modality),
        series_number=dataset.get("SeriesNumber"),
        series_description=str(dataset.get("SeriesDescription", "")),
    )
    session.add(series)
    return series


def header_of(dataset: Dataset, **changes: Any) -> dict[str, Any]:
    return dict(INSTANCE_HEADER.dump_python(replace(read_instance_header(dataset), **changes), mode="json"))

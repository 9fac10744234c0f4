"""Datasets <-> PS3.10 bytes, the same bytes for the same dataset."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def file_meta_for(dataset: Dataset) -> FileMetaDataset:
    """Return the file meta information of a result object: explicit VR little endian."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def to_bytes(dataset: Dataset) -> bytes:
    """Return the dataset as a PS3.10 file."""
    buffer = BytesIO()
    with disable_value_validation():  # source identifiers are kept, conformant or not
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def from_bytes(content: bytes) -> Dataset:
    """Read a PS3.10 file from memory."""
    return dcmread(BytesIO(content))

"""A received DICOM file: judged and read up to its pixel data; nothing is ever decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from core.errors import MetserveError
from core.headers import ANALYSED_SOP_CLASSES, read_instance_header
from core.study import InstanceHeader
from core.uids import is_acceptable_uid
from service.receiving.element_scan import DataSetStructure, MalformedDataSet, scan_file

MAX_HEADER_BYTES = 64 * 1024**2
"""An Enhanced MR of 5000 frames has about 30 MB before its pixels."""

LAST_GROUP_READ_OF_OTHERS = 0x0028
"""What is kept of objects that are not analysed stands before this group's end; documents and
contours, which may be huge, come later."""

REFUSED_TRANSFER_SYNTAXES = frozenset({DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian})
"""Deflated data must be decoded to be read (a bomb); big endian is retired."""

_HASH_CHUNK_BYTES = 1024**2


class RefusalReason(StrEnum):
    """Why an object was not taken."""

    UNREADABLE = "unreadable"
    INVALID_UID = "invalid_uid"
    SOP_CLASS_MISMATCH = "sop_class_mismatch"
    SOP_INSTANCE_MISMATCH = "sop_instance_mismatch"
    TRUNCATED_PIXELS = "truncated_pixels"
    HEADER_TOO_LARGE = "header_too_large"
    TRANSFER_SYNTAX = "transfer_syntax"
    STORAGE_CLASS_NOT_KEPT = "storage_class_not_kept"
    UNRECORDABLE = "unrecordable"
    """No column of the database holds one of its values."""


class UnacceptableInstance(MetserveError):
    """An object that is not taken.

    Parameters
    ----------
    reason
        Machine-readable.
    message
        What was found and expected, without patient data.
    """

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ObjectIdentity:
    """What a sender says it sends; checked against the data set."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """Patient and study attributes, for the worklist and for comparing with earlier studies."""

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    accession_number: str
    study_date: str
    study_time: str
    study_description: str


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """A whole, acceptable object.

    Parameters
    ----------
    sha256
        Of the data set, without file meta information; hexadecimal.
    """

    identity: ObjectIdentity
    header: InstanceHeader
    study: StudyFacts
    sha256: str
    size_bytes: int


def read_instance_file(path: Path, identity: ObjectIdentity) -> InstanceFile:
    """Judge a DICOM file (PS3.10) and read its header.

    Raises
    ------
    UnacceptableInstance
        It cannot be understood, contradicts what its sender said, or is cut off.
    """
    _check_identity(identity)
    structure = _scan(path, identity)
    dataset, header = _read_header(path, structure, identity)
    _check_header(header, identity)
    study = _read_facts(dataset, structure, identity)
    return InstanceFile(
        identity=identity,
        header=header,
        study=study,
        sha256=_sha256_from(path, structure.start),
        size_bytes=path.stat().st_size,
    )


def _check_identity(identity: ObjectIdentity) -> None:
    if not is_acceptable_uid(identity.sop_instance_uid):
        raise UnacceptableInstance(RefusalReason.INVALID_UID, "SOP Instance UID: expected digits and dots")
    if identity.transfer_syntax_uid in REFUSED_TRANSFER_SYNTAXES or not _is_known(identity):
        raise UnacceptableInstance(
            RefusalReason.TRANSFER_SYNTAX, f"transfer syntax {identity.transfer_syntax_uid!r} is not taken"
        )


def _is_known(identity: ObjectIdentity) -> bool:
    syntax = UID(identity.transfer_syntax_uid)
    return syntax.is_transfer_syntax and not syntax.is_private


def _scan(path: Path, identity: ObjectIdentity) -> DataSetStructure:
    try:
        structure = scan_file(path, implicit_vr=identity.transfer_syntax_uid == ImplicitVRLittleEndian)
    except MalformedDataSet as error:
        raise UnacceptableInstance(RefusalReason.UNREADABLE, str(error)) from error
    size = structure.header_end - structure.start
    if identity.sop_class_uid in ANALYSED_SOP_CLASSES and size > MAX_HEADER_BYTES:
        raise UnacceptableInstance(
            RefusalReason.HEADER_TOO_LARGE,
            f"the header has {size} bytes before its pixels, expected at most {MAX_HEADER_BYTES}",
        )
    return structure


def _read_header(
    path: Path, structure: DataSetStructure, identity: ObjectIdentity
) -> tuple[Dataset, InstanceHeader]:
    analysed = identity.sop_class_uid in ANALYSED_SOP_CLASSES
    try:
        with path.open("rb") as file:
            file.seek(structure.start)
            dataset = read_dataset(
                file,
                identity.transfer_syntax_uid == ImplicitVRLittleEndian,
                True,
                bytelength=structure.header_end - structure.start,
                stop_when=None if analysed else _is_beyond_what_is_kept,
            )
        return dataset, read_instance_header(dataset)
    except Exception as error:  # noqa: BLE001 - a hostile header can raise anything in a parser
        raise _unreadable(error) from None


def _read_facts(dataset: Dataset, structure: DataSetStructure, identity: ObjectIdentity) -> StudyFacts:
    """Check the pixel data, read the worklist's attributes: pydicom decodes a value when it is asked for."""
    try:
        _check_pixels(dataset, structure, identity)
        return _study_facts(dataset)
    except UnacceptableInstance:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> UnacceptableInstance:
    message = f"the header cannot be read ({type(error).__name__})"
    return UnacceptableInstance(RefusalReason.UNREADABLE, message)


def _is_beyond_what_is_kept(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group > LAST_GROUP_READ_OF_OTHERS


def _check_header(header: InstanceHeader, identity: ObjectIdentity) -> None:
    if header.sop_class_uid != identity.sop_class_uid:
        raise UnacceptableInstance(
            RefusalReason.SOP_CLASS_MISMATCH, "SOP Class UID differs between the request and the data set"
        )
    if header.sop_instance_uid != identity.sop_instance_uid:
        raise UnacceptableInstance(
            RefusalReason.SOP_INSTANCE_MISMATCH,
            "SOP Instance UID differs between the request and the data set",
        )
    for name, uid in (("Study", header.study_instance_uid), ("Series", header.series_instance_uid)):
        if not is_acceptable_uid(uid):
            raise UnacceptableInstance(
                RefusalReason.INVALID_UID, f"{name} Instance UID: expected 1 to 64 digits and dots"
            )


def _check_pixels(dataset: Dataset, structure: DataSetStructure, identity: ObjectIdentity) -> None:
    pixels = structure.pixels
    if pixels is None:
        if identity.sop_class_uid in ANALYSED_SOP_CLASSES:
            raise UnacceptableInstance(RefusalReason.TRUNCATED_PIXELS, "an MR image without pixel data")
        return
    if not pixels.is_whole:
        raise UnacceptableInstance(RefusalReason.TRUNCATED_PIXELS, "the file ends within its pixel data")
    expected = _native_bytes(dataset)
    if pixels.length_bytes is not None and expected is not None and pixels.length_bytes < expected:
        raise UnacceptableInstance(
            RefusalReason.TRUNCATED_PIXELS,
            f"pixel data has {pixels.length_bytes} bytes, its header says {expected}",
        )


def _native_bytes(dataset: Dataset) -> int | None:
    """Return the length of uncompressed pixel data (PS3.5 8.1.1), None when the header is unclear."""
    try:
        samples = int(dataset.get("SamplesPerPixel") or 1)
        if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
            samples = 2  # chrominance is shared by two pixels, PS3.3 C.7.6.3.1.2
        frames = int(dataset.get("NumberOfFrames") or 1)
        bits = int(dataset.Rows) * int(dataset.Columns) * samples * frames * int(dataset.BitsAllocated)
    except (AttributeError, TypeError, ValueError):
        return None
    return (bits + 7) // 8


def _study_facts(dataset: Dataset) -> StudyFacts:
    def text(keyword: str) -> str:
        return str(dataset.get(keyword) or "").replace("\0", "").strip()

    return StudyFacts(
        patient_id=text("PatientID"),
        issuer_of_patient_id=text("IssuerOfPatientID"),
        patient_name=text("PatientName"),
        patient_birth_date=text("PatientBirthDate"),
        patient_sex=text("PatientSex"),
        accession_number=text("AccessionNumber"),
        study_date=text("StudyDate"),
        study_time=text("StudyTime"),
        study_description=text("StudyDescription"),
    )


def _sha256_from(path: Path, offset: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

"""What is encoded by hand is what pydicom and pynetdicom would have written."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE

from core.headers import MR_IMAGE_STORAGE
from core.uids import IMPLEMENTATION_CLASS_UID
from service.receiving.encoding import file_preamble, store_response

UIDS = ["2.25.1", "2.25.12"]
"""One that needs padding and one that does not."""


@pytest.mark.parametrize("uid", UIDS)
def test_file_meta_information_is_as_pydicom_writes_it(uid: str) -> None:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(MR_IMAGE_STORAGE), UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=False)
    expected = bytes(128) + b"DICM" + buffer.getvalue()
    assert file_preamble(MR_IMAGE_STORAGE, uid, ExplicitVRLittleEndian) == expected


def test_a_uid_that_is_none_does_not_get_into_a_file() -> None:
    assert b"evil" not in file_preamble(MR_IMAGE_STORAGE, "../evil", ExplicitVRLittleEndian)


def response(uid: str, status: int = 0xA700) -> C_STORE:
    primitive = C_STORE()
    primitive.MessageIDBeingRespondedTo, primitive.Status = 7, status
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = UID(MR_IMAGE_STORAGE), UID(uid)
    return primitive


@pytest.mark.parametrize("uid", UIDS)
@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_a_response_is_as_pynetdicom_writes_it(uid: str, status: int) -> None:
    message = C_STORE_RSP()
    message.primitive_to_message(response(uid, status))
    (data,) = message.encode_msg(1, 16_382)
    ((_, expected),) = data.presentation_data_value_list
    assert store_response(response(uid, status)) == BytesIO(expected).getvalue()[1:]


def test_a_response_with_a_comment_is_left_to_pynetdicom() -> None:
    commented = response("2.25.1")
    commented.ErrorComment = "why"
    assert store_response(commented) is None

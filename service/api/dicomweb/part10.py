"""What a DICOM file says of itself before its data set (PS3.10 7.1)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from service.receiving.element_scan import PREAMBLE_BYTES
from service.receiving.instance_file import ObjectIdentity

LARGEST_FILE_META_BYTES = 64 * 1024
"""Real ones have some 300 bytes; what an element claims to hold beyond is not read."""

_FILE_META_GROUP = 0x0002


def read_identity(path: Path) -> ObjectIdentity:
    """Return what the file meta information names; empty texts where it cannot be read."""
    meta = _read_file_meta(path)
    return ObjectIdentity(
        _text(meta, "MediaStorageSOPClassUID"),
        _text(meta, "MediaStorageSOPInstanceUID"),
        _text(meta, "TransferSyntaxUID"),
    )


def _read_file_meta(path: Path) -> Dataset:
    with path.open("rb") as file:
        head = file.read(PREAMBLE_BYTES + LARGEST_FILE_META_BYTES)
    if head[128:PREAMBLE_BYTES] != b"DICM":
        return Dataset()
    try:
        return read_dataset(BytesIO(head[PREAMBLE_BYTES:]), False, True, stop_when=_is_data_set)
    except Exception:  # noqa: BLE001 - a hostile header can raise anything in a parser
        return Dataset()


def _is_data_set(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != _FILE_META_GROUP


def _text(meta: Dataset, keyword: str) -> str:
    try:
        return str(meta.get(keyword) or "")
    except Exception:  # noqa: BLE001 - the value is converted only now
        return ""

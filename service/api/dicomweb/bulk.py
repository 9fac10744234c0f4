"""Bulk data: what the metadata names by a BulkDataURI (PS3.18 10.4.1.1.4)."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from service.api.dicomweb.instance_encoding import CHUNK_BYTES
from service.api.dicomweb.metadata import BULK_VRS
from service.api.dicomweb.stored_file import PIXEL_TAGS, PixelPlace, StoredFile, raw_value, vr_of
from service.api.problems import ApiError

ATTRIBUTE_PATH = r"^[0-9A-Fa-f]{8}(\.[0-9]{1,6}\.[0-9A-Fa-f]{8}){0,32}$"
"""``00420011``, or within sequences ``00880200.0.7FE00010``: tag, number of the item from 0, tag."""


def bulk_value(stored: StoredFile, attribute_path: str) -> bytes:
    """Return the value of a binary element of the header.

    Raises
    ------
    ApiError
        404: there is none.
    """
    *outer, last = attribute_path.split(".")
    dataset: Any = stored.header
    for sequence_tag, item in zip(outer[::2], outer[1::2], strict=True):
        dataset = _item(dataset, int(sequence_tag, 16), int(item))
    return _value(stored, dataset, int(last, 16))


def names_pixels(attribute_path: str) -> bool:
    """Tell whether a path means the pixel data of the instance itself."""
    return "." not in attribute_path and int(attribute_path, 16) in PIXEL_TAGS


def native_pixels(stored: StoredFile, place: PixelPlace, length_bytes: int) -> Iterator[bytes]:
    """Yield uncompressed pixel data piece by piece."""
    with stored.path.open("rb") as file:
        file.seek(place.value_at)
        while length_bytes > 0 and (chunk := file.read(min(length_bytes, CHUNK_BYTES))):
            length_bytes -= len(chunk)
            yield chunk


def _item(dataset: Dataset, tag: int, number: int) -> Dataset:
    element = dataset.get(tag, None)
    if element is None or element.VR != "SQ" or number >= len(element.value):
        raise _no_bulk_data()
    item: Dataset = element.value[number]
    return item


def _value(stored: StoredFile, dataset: Dataset, tag: int) -> bytes:
    if tag not in dataset:
        raise _no_bulk_data()
    element: Any = dataset.get_item(tag, keep_deferred=True)
    raw = isinstance(element, RawDataElement)
    if (vr_of(element) if raw else element.VR) not in BULK_VRS:
        raise _no_bulk_data()
    value = raw_value(stored, element) if raw else element.value
    if not isinstance(value, bytes):
        raise _no_bulk_data()
    return value


def _no_bulk_data() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "the instance has no such binary attribute")

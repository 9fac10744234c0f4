"""Implicit files become explicit ones with the same content."""

from __future__ import annotations

import io
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.api.dicomweb.instance_encoding import explicit_bytes, stored_bytes
from tests.service.compressed_images import image, write_image


def test_an_implicit_image_keeps_every_value_when_it_becomes_explicit(tmp_path: Path) -> None:
    dataset = image(PatientName="Ærø^Jens", SpecificCharacterSet="ISO_IR 100", PixelPaddingValue=7)
    dataset.add_new(0x00091001, "UN", b"\x01\x02")
    dataset.RequestAttributesSequence = [Dataset()]
    dataset.RequestAttributesSequence[0].ScheduledProcedureStepID = "1"
    dataset.DataSetTrailingPadding = b"\0" * 16
    path = write_image(tmp_path, ImplicitVRLittleEndian, dataset)
    converted = dcmread(io.BytesIO(b"".join(explicit_bytes(path))))
    assert converted.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    original = dcmread(path)
    for element in original:
        assert converted[element.tag].value == element.value, element.keyword
    assert len(converted) == len(original)


def test_large_values_are_not_lost(tmp_path: Path) -> None:
    dataset = image(ExtendedOffsetTable=b"\1" * 200_000, TextValue="x" * 100_000)
    path = write_image(tmp_path, ImplicitVRLittleEndian, dataset)
    converted = dcmread(io.BytesIO(b"".join(explicit_bytes(path))))
    assert (converted.ExtendedOffsetTable, converted.TextValue) == (b"\1" * 200_000, "x" * 100_000)


def test_an_object_without_pixels_becomes_explicit_too(tmp_path: Path) -> None:
    dataset = image()
    del dataset.PixelData
    path = write_image(tmp_path, ImplicitVRLittleEndian, dataset)
    converted = dcmread(io.BytesIO(b"".join(explicit_bytes(path))))
    assert converted.SeriesDescription == "T1"


def test_a_stored_file_passes_as_it_is(tmp_path: Path) -> None:
    path = write_image(tmp_path, ExplicitVRLittleEndian, image())
    assert b"".join(stored_bytes(path)) == path.read_bytes()

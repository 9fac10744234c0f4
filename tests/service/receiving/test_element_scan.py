from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from service.receiving.element_scan import MAX_SEQUENCE_DEPTH, MalformedDataSet, scan_file
from tests.mr_headers import SIEMENS_MPRAGE, enhanced, series

SYNTAXES = [(True, ImplicitVRLittleEndian), (False, ExplicitVRLittleEndian)]


def file_of(folder: Path, dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    path = folder / "x.dcm"
    path.write_bytes(buffer.getvalue())
    return path


def nested(depth: int, *, undefined_length: bool) -> Dataset:
    inner = Dataset()
    for _ in range(depth):
        outer = Dataset()
        inner.is_undefined_length_sequence_item = undefined_length
        outer.ReferencedSeriesSequence = [inner]
        outer["ReferencedSeriesSequence"].is_undefined_length = undefined_length
        inner = outer
    inner.SOPClassUID, inner.SOPInstanceUID = "1.2", "1.3"
    return inner


@pytest.mark.parametrize(("implicit", "syntax"), SYNTAXES)
@pytest.mark.parametrize("dataset", [series(1, "t1", SIEMENS_MPRAGE, slices=1)[0], enhanced(2, "t1")[0]])
def test_the_header_ends_where_pixel_data_begins(
    tmp_path: Path, dataset: Dataset, implicit: bool, syntax: str
) -> None:
    path = file_of(tmp_path, dataset, syntax)
    structure = scan_file(path, implicit_vr=implicit)
    assert structure.pixels is not None
    assert structure.pixels.is_whole
    assert structure.pixels.length_bytes == len(dataset.PixelData)
    assert path.read_bytes()[structure.header_end :][:4] == b"\xe0\x7f\x10\x00"


@pytest.mark.parametrize("undefined_length", [True, False])
@pytest.mark.parametrize(("implicit", "syntax"), SYNTAXES)
def test_nesting_is_allowed_up_to_the_limit_and_not_beyond(
    tmp_path: Path, undefined_length: bool, implicit: bool, syntax: str
) -> None:
    deepest = file_of(tmp_path, nested(MAX_SEQUENCE_DEPTH, undefined_length=undefined_length), syntax)
    assert scan_file(deepest, implicit_vr=implicit).pixels is None
    deeper = file_of(tmp_path, nested(MAX_SEQUENCE_DEPTH + 1, undefined_length=undefined_length), syntax)
    with pytest.raises(MalformedDataSet, match="deeper than 32"):
        scan_file(deeper, implicit_vr=implicit)


def test_fragments_without_their_delimiter_are_not_whole(tmp_path: Path) -> None:
    dataset = series(1, "t1", SIEMENS_MPRAGE, slices=1)[0]
    dataset.PixelData = encapsulate([b"ab" * 50, b"cd" * 50])
    dataset["PixelData"].is_undefined_length = True
    path = file_of(tmp_path, dataset, JPEG2000Lossless)
    whole = scan_file(path, implicit_vr=False).pixels
    assert whole is not None
    assert whole.is_whole
    path.write_bytes(path.read_bytes()[:-30])
    cut = scan_file(path, implicit_vr=False).pixels
    assert cut is not None
    assert not cut.is_whole


@pytest.mark.parametrize("kept_bytes", [0, 100, 131, 250, 400])
def test_a_file_cut_off_in_its_header_is_malformed(tmp_path: Path, kept_bytes: int) -> None:
    path = file_of(tmp_path, series(1, "t1", SIEMENS_MPRAGE, slices=1)[0])
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(MalformedDataSet):
        scan_file(path, implicit_vr=False)


def test_an_element_longer_than_the_file_is_malformed(tmp_path: Path) -> None:
    path = file_of(tmp_path, nested(0, undefined_length=False))
    path.write_bytes(path.read_bytes() + b"\x08\x00\x08\x01UT\0\0\xf0\xff\xff\xff" + b"x" * 100)
    with pytest.raises(MalformedDataSet, match=r"\(0008,0108\) is longer"):
        scan_file(path, implicit_vr=False)


def test_a_header_in_the_other_encoding_is_malformed(tmp_path: Path) -> None:
    path = file_of(tmp_path, series(1, "t1", SIEMENS_MPRAGE, slices=1)[0], ImplicitVRLittleEndian)
    with pytest.raises(MalformedDataSet):
        scan_file(path, implicit_vr=False)

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import gdcm
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from tests.synthetic import (
    AXIAL,
    CORONAL,
    FRAME_OF_REFERENCE_UID,
    NEGATED_COLUMN,
    SAGITTAL,
    make_enhanced,
    make_grid,
    make_references,
    make_series,
)
from worker.pixels import DECODERS
from worker.volumes import Volume, load_volume

OBLIQUE = (0.96, 0.28, 0.0, -0.168, 0.576, 0.8)


def small_volume(orientation: tuple[float, ...] = AXIAL, rows: int = 6, columns: int = 5) -> Volume:
    grid = make_grid((12, rows, columns), (3.0, 1.5, 0.75), orientation, centre_lps_mm=(10, -20, 30))
    voxels = np.random.default_rng(0).integers(-500, 3000, grid.shape_kji).astype(np.float32)
    return Volume(voxels, grid, FRAME_OF_REFERENCE_UID, make_references(12))


def assert_same(loaded: Volume, expected: Volume) -> None:
    assert loaded.grid.is_close_to(expected.grid)
    np.testing.assert_array_equal(loaded.voxels_kji, expected.voxels_kji)
    assert loaded.slices == expected.slices
    assert loaded.frame_of_reference_uid == expected.frame_of_reference_uid


def assert_unsuitable(datasets: list[Dataset], reason: UnsuitableReason, words: str) -> None:
    with pytest.raises(UnsuitableStudy, match=words) as caught:
        load_volume(datasets)
    assert caught.value.reason is reason


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, NEGATED_COLUMN, OBLIQUE])
def test_slices_in_any_order_and_orientation_become_the_volume_they_came_from(orientation):
    volume = small_volume(orientation)
    datasets = make_series(volume)
    np.random.default_rng(1).shuffle(datasets)
    assert_same(load_volume(datasets), volume)


def test_k_increases_along_the_normal_whatever_the_instance_numbers_say():
    datasets = make_series(small_volume(SAGITTAL))
    for number, dataset in enumerate(reversed(datasets)):
        dataset.InstanceNumber = number
    loaded = load_volume(datasets)
    normal = np.cross(SAGITTAL[:3], SAGITTAL[3:])
    np.testing.assert_allclose(loaded.grid.directions_lps[:, 0], normal, atol=1e-9)


def test_a_voxel_lies_where_its_image_position_says():
    datasets = make_series(small_volume(OBLIQUE))
    loaded = load_volume(datasets)
    for k, dataset in enumerate(datasets):
        np.testing.assert_allclose(
            loaded.grid.to_lps_mm((k, 0, 0)), dataset.ImagePositionPatient, rtol=0, atol=1e-4
        )


def test_an_enhanced_instance_is_read_frame_by_frame_with_its_rescale():
    volume = small_volume(OBLIQUE)
    loaded = load_volume([make_enhanced(volume)])
    assert loaded.grid.is_close_to(volume.grid)
    np.testing.assert_allclose(loaded.voxels_kji, volume.voxels_kji, atol=1e-3)
    assert [s.frame_number for s in loaded.slices] == list(range(1, 13))


def test_each_slice_has_its_own_rescale_slope_and_intercept():
    volume = small_volume()
    datasets = make_series(volume)
    for k, dataset in enumerate(datasets):
        dataset.RescaleSlope, dataset.RescaleIntercept = k + 1, -k
    loaded = load_volume(datasets)
    steps = np.arange(12, dtype=np.float32)[:, None, None]
    np.testing.assert_array_equal(loaded.voxels_kji, volume.voxels_kji * (steps + 1) - steps)


def compressed_by_pydicom(dataset: Dataset, syntax: UID) -> Dataset:
    dataset.compress(syntax)
    return dataset


def compressed_by_gdcm(dataset: Dataset, syntax: UID, folder) -> Dataset:
    source, target = folder / "source.dcm", folder / "target.dcm"
    dataset.save_as(source, enforce_file_format=True)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return dcmread(io.BytesIO(target.read_bytes()))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1])
def test_losslessly_compressed_pixels_come_back_unchanged(syntax, tmp_path):
    # The JPEG 2000 encoder behind this test crashes on images of a few pixels.
    volume = small_volume(rows=64, columns=48)
    if syntax in {RLELossless, JPEGLSLossless}:
        datasets = [compressed_by_pydicom(d, syntax) for d in make_series(volume)]
    else:
        datasets = [compressed_by_gdcm(d, syntax, tmp_path) for d in make_series(volume)]
    np.testing.assert_array_equal(load_volume(datasets).voxels_kji, volume.voxels_kji)


@pytest.mark.parametrize(
    ("syntax", "plugin"),
    [
        (JPEGLossless, "gdcm"),
        (JPEGLosslessSV1, "gdcm"),
        (JPEGLSLossless, "pyjpegls"),
        (JPEG2000Lossless, "pylibjpeg"),
        (RLELossless, "pydicom"),
    ],
)
def test_each_compressed_syntax_has_one_decoder_and_it_is_installed(syntax, plugin):
    assert DECODERS[syntax] == plugin
    assert plugin in get_decoder(syntax).available_plugins


def test_pixels_are_decoded_by_the_named_decoder_alone(tmp_path, monkeypatch):
    volume = small_volume(rows=64, columns=48)
    datasets = [compressed_by_gdcm(d, JPEG2000Lossless, tmp_path) for d in make_series(volume)]
    monkeypatch.setitem(get_decoder(JPEG2000Lossless)._available, "pylibjpeg", fails_to_decode)
    with pytest.raises(UnsuitableStudy, match="the named decoder was asked"):
        load_volume(datasets)


def fails_to_decode(*_: object) -> bytearray:
    raise RuntimeError("the named decoder was asked")


def test_a_missing_slice_is_a_gap():
    datasets = make_series(small_volume())
    del datasets[5]
    assert_unsuitable(datasets, UnsuitableReason.IRREGULAR_GEOMETRY, "3.000 to 6.000 mm apart")


def test_two_slices_at_one_position_are_refused():
    datasets = make_series(small_volume())
    assert_unsuitable(
        [*datasets, copy.deepcopy(datasets[3])], UnsuitableReason.IRREGULAR_GEOMETRY, "two slices lie at"
    )


def test_positions_rounded_by_the_scanner_are_still_regular():
    volume = small_volume()
    datasets = make_series(volume)
    for dataset in datasets:
        dataset.ImagePositionPatient = [round(v, 2) + 0.004 for v in dataset.ImagePositionPatient]
    assert load_volume(datasets).grid.spacing_kji_mm[0] == pytest.approx(3.0, abs=1e-3)


def test_a_tilted_stack_is_refused():
    datasets = make_series(small_volume())
    for k, dataset in enumerate(datasets):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 0.5 * k, z]
    assert_unsuitable(datasets, UnsuitableReason.UNSUPPORTED_GEOMETRY, "off their normal")


def set_spacing(dataset: Dataset) -> None:
    dataset.PixelSpacing = [1.5, 0.8]


def set_orientation(dataset: Dataset) -> None:
    dataset.ImageOrientationPatient = list(CORONAL)


def set_frame_of_reference(dataset: Dataset) -> None:
    dataset.FrameOfReferenceUID = "2.25.9"


def set_size(dataset: Dataset) -> None:
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_spacing, "PixelSpacing differs"),
        (set_orientation, "ImageOrientationPatient differs"),
        (set_frame_of_reference, "2 frames of reference"),
        (set_size, "expected one size"),
    ],
)
def test_a_slice_that_differs_from_the_others_is_refused(change: Callable[[Dataset], None], words):
    datasets = make_series(small_volume())
    change(datasets[7])
    assert_unsuitable(datasets, UnsuitableReason.IRREGULAR_GEOMETRY, words)


def test_a_localiser_has_too_few_slices():
    datasets = make_series(small_volume())[:3]
    assert_unsuitable(datasets, UnsuitableReason.UNSUPPORTED_GEOMETRY, "3 slices")


def test_missing_position_is_named():
    datasets = make_series(small_volume())
    del datasets[2].ImagePositionPatient
    assert_unsuitable(datasets, UnsuitableReason.UNSUPPORTED_GEOMETRY, "ImagePositionPatient is None")


def test_truncated_pixels_are_unreadable():
    datasets = make_series(small_volume())
    datasets[2].PixelData = datasets[2].PixelData[:-2]
    assert_unsuitable(datasets, UnsuitableReason.UNREADABLE_PIXELS, "58 bytes, expected 60")


def test_damaged_compressed_pixels_are_unreadable():
    datasets = [compressed_by_pydicom(d, RLELossless) for d in make_series(small_volume())]
    datasets[4].PixelData = datasets[4].PixelData[:40] + bytes(len(datasets[4].PixelData) - 40)
    assert_unsuitable(datasets, UnsuitableReason.UNREADABLE_PIXELS, "cannot be decoded")


def test_colour_pixels_are_refused():
    datasets = make_series(small_volume())
    datasets[0].PhotometricInterpretation = "RGB"
    assert_unsuitable(datasets, UnsuitableReason.UNREADABLE_PIXELS, "'RGB'")


def test_a_header_that_claims_too_much_is_refused_before_decoding():
    datasets = make_series(small_volume())
    for dataset in datasets:
        dataset.Rows = dataset.Columns = 60_000
        del dataset.PixelData
    assert_unsuitable(datasets, UnsuitableReason.UNREADABLE_PIXELS, "has 43200000000 voxels")


def test_a_series_that_would_not_fit_into_memory_is_refused():
    datasets = make_series(small_volume())
    for dataset in datasets:
        dataset.Rows = dataset.Columns = 3000
    assert_unsuitable(
        datasets, UnsuitableReason.UNREADABLE_PIXELS, "has 108000000 voxels, expected at most 100663296"
    )


def test_the_volume_covers_what_the_grid_says():
    volume = small_volume()
    loaded = load_volume(make_series(volume))
    assert isinstance(loaded.grid, Grid)
    assert loaded.voxels_kji.shape == loaded.grid.shape_kji
    assert loaded.voxels_kji.dtype == np.float32

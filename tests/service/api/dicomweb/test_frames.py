"""Frames come out as they were put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from service.api.dicomweb.frames import PixelLayout, check_frames, pixels_of, stored_frames
from service.api.dicomweb.stored_file import read_stored_file
from service.api.problems import ApiError
from tests.service.compressed_images import image, ramp, write_image


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_native_frames_are_cut_from_the_file(tmp_path: Path, syntax: str) -> None:
    stored = read_stored_file(write_image(tmp_path, syntax, image(frames=5)))
    assert list(stored_frames(stored, [3, 0])) == [ramp(3).tobytes(), ramp(0).tobytes()]


@pytest.mark.parametrize("indices", [[1, 3], [3, 1], [0, 1, 2, 3, 4], [2, 2]])
def test_compressed_frames_are_cut_from_their_fragments(tmp_path: Path, indices: list[int]) -> None:
    path = write_image(tmp_path, RLELossless, image(frames=5))
    every = list(generate_frames(dcmread(path).PixelData, number_of_frames=5))
    assert list(stored_frames(read_stored_file(path), indices)) == [every[index] for index in indices]


def test_frames_of_single_bits_begin_at_a_byte(tmp_path: Path) -> None:
    bits = np.random.default_rng(5).integers(0, 2, (3, 5, 5), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset = image(Rows=5, Columns=5, NumberOfFrames=3, BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    stored = read_stored_file(write_image(tmp_path, ExplicitVRLittleEndian, dataset))
    for index, frame in enumerate(stored_frames(stored, [0, 1, 2])):
        found = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:25]
        assert (found.reshape(5, 5) == bits[index]).all()


def test_a_frame_beyond_the_last_is_not_there() -> None:
    layout = PixelLayout(1, 1, 1, 8, 3)
    check_frames(layout, [0, 2])
    with pytest.raises(ApiError, match="no frame 4: the instance has 3"):
        check_frames(layout, [0, 3])


def test_pixels_that_end_early_are_told(tmp_path: Path) -> None:
    stored = read_stored_file(write_image(tmp_path, ExplicitVRLittleEndian, image(NumberOfFrames=2)))
    with pytest.raises(ApiError, match="ends before frame 2"):
        list(stored_frames(stored, [1]))


@pytest.mark.parametrize("missing", ["PixelData", "Rows", "Columns"])
def test_an_object_that_is_no_image_has_no_frames(tmp_path: Path, missing: str) -> None:
    dataset = image()
    delattr(dataset, missing)
    stored = read_stored_file(write_image(tmp_path, ExplicitVRLittleEndian, dataset))
    with pytest.raises(ApiError) as raised:
        pixels_of(stored)
    assert raised.value.status == 406

"""Pixels are decoded by a process that can do nothing else."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from service.api.dicomweb.confinement import ResourceLimits
from service.api.dicomweb.decoding import DecodeLimits, Decoder
from service.api.dicomweb.render_request import RenderRequest, Viewport, Window
from service.api.problems import ApiError
from tests.service.compressed_images import COLUMNS, LOSSLESS, ROWS, image, ramp, write_image

FRAME_BYTES = ROWS * COLUMNS * 2


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(DecodeLimits())


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_every_lossless_syntax_decodes_to_the_same_values(
    tmp_path: Path, decoder: Decoder, syntax: UID
) -> None:
    path = write_image(tmp_path, syntax, image())
    (frame,) = decoder.frames(path, [0], FRAME_BYTES)
    assert (np.frombuffer(frame, "<u2").reshape(ROWS, COLUMNS) == ramp()).all()


def test_the_frames_asked_for_are_decoded_in_their_order(tmp_path: Path, decoder: Decoder) -> None:
    path = write_image(tmp_path, RLELossless, image(frames=4))
    frames = decoder.frames(path, [2, 0], FRAME_BYTES)
    assert frames == [ramp(2).tobytes(), ramp(0).tobytes()]


def test_a_picture_has_the_window_that_is_asked_for(tmp_path: Path, decoder: Decoder) -> None:
    path = write_image(tmp_path, JPEGLSLossless, image())
    request = RenderRequest(None, "image/png", window=Window(1000, 500, "linear-exact"))
    picture = Image.open(io.BytesIO(decoder.render(path, request, FRAME_BYTES)))
    shown = np.asarray(picture)
    assert picture.mode == "L"
    assert np.abs(shown - np.clip((ramp() - 750.0) / 500 * 255, 0, 255)).max() <= 0.51


def test_a_picture_has_the_window_of_its_header_and_its_rescaled_values(
    tmp_path: Path, decoder: Decoder
) -> None:
    dataset = image(WindowCenter=[10, 99], WindowWidth=[401, 1], RescaleSlope=2, RescaleIntercept=-500)
    path = write_image(tmp_path, ExplicitVRLittleEndian, dataset)
    shown = np.asarray(
        Image.open(io.BytesIO(decoder.render(path, RenderRequest(0, "image/png"), FRAME_BYTES)))
    )
    expected = np.clip((ramp() * 2.0 - 500 - 9.5) / 400 + 0.5, 0, 1) * 255
    assert np.abs(shown - expected).max() <= 0.51


def test_monochrome1_is_shown_inverted(tmp_path: Path, decoder: Decoder) -> None:
    path = write_image(tmp_path, ExplicitVRLittleEndian, image(PhotometricInterpretation="MONOCHROME1"))
    shown = np.asarray(
        Image.open(io.BytesIO(decoder.render(path, RenderRequest(0, "image/png"), FRAME_BYTES)))
    )
    assert shown[ramp() == ramp().min()].min() == 255


def test_a_viewport_keeps_the_proportions(tmp_path: Path, decoder: Decoder) -> None:
    path = write_image(tmp_path, JPEG2000Lossless, image())
    request = RenderRequest(0, "image/jpeg", viewport=Viewport(32, 100, (0, 0, 32, 32)))
    picture = Image.open(io.BytesIO(decoder.render(path, request, FRAME_BYTES)))
    assert (picture.format, picture.size) == ("JPEG", (32, 32))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_a_corrupt_codestream_is_told_and_nothing_breaks(
    tmp_path: Path, decoder: Decoder, syntax: UID
) -> None:
    path = write_image(tmp_path, syntax, image())
    content = bytearray(path.read_bytes())
    content[-600:-20] = bytes(580)
    path.write_bytes(content)
    with contextlib.suppress(ApiError):  # some codecs take anything for an image
        assert len(decoder.frames(path, [0], FRAME_BYTES)[0]) == FRAME_BYTES


def test_a_frame_that_is_not_there_is_told(tmp_path: Path, decoder: Decoder) -> None:
    path = write_image(tmp_path, RLELossless, image())
    with pytest.raises(ApiError, match="cannot be decoded"):
        decoder.frames(path, [7], FRAME_BYTES)


def test_too_large_a_frame_is_not_begun(tmp_path: Path) -> None:
    decoder = Decoder(DecodeLimits(decoded_bytes=1000))
    with pytest.raises(ApiError, match="1001 bytes, expected at most 1000"):
        decoder.frames(tmp_path / "absent", [0], 1001)


def test_an_image_that_blows_up_ends_its_process_and_not_this_one(tmp_path: Path) -> None:
    decoder = Decoder(DecodeLimits(resources=ResourceLimits(memory_bytes=1024**3, cpu_s=20)))
    bomb = image()
    path = write_image(tmp_path, RLELossless, bomb)
    content = path.read_bytes()
    rows = b"\x28\0\x10\0US\x02\0"
    columns = b"\x28\0\x11\0US\x02\0"
    content = content.replace(rows + ROWS.to_bytes(2, "little"), rows + b"\xff\xff")
    content = content.replace(columns + COLUMNS.to_bytes(2, "little"), columns + b"\xff\xff")
    path.write_bytes(content)
    with pytest.raises(ApiError, match="cannot be decoded"):
        decoder.frames(path, [0], FRAME_BYTES)


def test_an_endless_decoder_is_ended(tmp_path: Path) -> None:
    path = write_image(tmp_path, RLELossless, image())
    with pytest.raises(ApiError, match="did not survive"):
        Decoder(DecodeLimits(wall_s=0.01)).frames(path, [0], FRAME_BYTES)


def test_a_second_request_waits_for_its_turn_and_not_for_ever(tmp_path: Path) -> None:
    decoder = Decoder(DecodeLimits(processes=1, wait_s=0.01))
    decoder._turns.acquire()
    with pytest.raises(ApiError, match="too many"):
        decoder.frames(tmp_path, [0], 1)


def test_where_enough_wait_one_more_is_sent_away_at_once(tmp_path: Path) -> None:
    decoder = Decoder(DecodeLimits(processes=1, waiting=1))
    for _ in range(2):
        decoder._places.acquire()
    with pytest.raises(ApiError, match="too many"):
        decoder.frames(tmp_path, [0], 1)


@pytest.mark.parametrize(
    "forbidden",
    [
        "open('/etc/hostname')",
        "open('/dev/null', 'w')",
        "socket.socket()",
        "socket.socketpair()",
        "os.execv('/bin/true', ['true'])",
        "os.unlink('/nowhere')",
        "os.kill(1, 0)",
    ],
)
def test_the_process_reaches_nothing_beyond_itself(forbidden: str) -> None:
    program = (
        "import os, socket\n"
        "from service.api.dicomweb.confinement import refuse_system_calls\n"
        "assert refuse_system_calls()\n"
        f"try:\n    {forbidden}\nexcept PermissionError:\n    os._exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 7

"""The process that decodes pixels: a file on its standard input, a picture or frames on its standard output.

Run as ``python -m service.api.dicomweb.decode_process frames|render ARGUMENT MEMORY_BYTES CPU_S``. The first
line of the answer is JSON: ``{"error": null, "confined": true, "lengths": [...]}``; then that many bytes.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID

from service.api.dicomweb.confinement import ResourceLimits, limit_resources, refuse_system_calls
from service.api.dicomweb.render_request import RenderRequest
from service.api.dicomweb.rendering import draw, representative_frame


def main(arguments: list[str], source: BinaryIO, sink: BinaryIO) -> None:
    """Answer one request."""
    operation, argument, memory_bytes, cpu_s = arguments
    _load_everything()
    limit_resources(ResourceLimits(int(memory_bytes), int(cpu_s)))
    confined = refuse_system_calls()
    answer: dict[str, Any] = {"error": None, "confined": confined, "lengths": []}
    contents: list[bytes] = []
    try:
        contents = (
            _frames(source, json.loads(argument)) if operation == "frames" else [_picture(source, argument)]
        )
        answer["lengths"] = [len(content) for content in contents]
    except Exception as error:  # noqa: BLE001 - codecs raise anything; the text may hold header values
        answer["error"] = type(error).__name__
    sink.write(json.dumps(answer).encode() + b"\n")
    sink.writelines(contents)
    sink.flush()


def _frames(source: BinaryIO, indices: list[int]) -> list[bytes]:
    """Return frames as Explicit VR Little Endian holds them, colours by pixel."""
    frames = [_little_endian(array) for array in iter_pixels(source, indices=indices)]
    if len(frames) != len(indices):
        raise ValueError("fewer frames than asked for")
    return frames


def _picture(source: BinaryIO, argument: str) -> bytes:
    request = RenderRequest.from_json(argument)
    dataset = dcmread(source, stop_before_pixels=True)
    source.seek(0)
    frames = int(dataset.get("NumberOfFrames") or 1)
    index = request.frame_index
    index = representative_frame(dataset, frames) if index is None else index
    frame = next(iter(iter_pixels(source, indices=[index])))
    return draw(frame, dataset, index, request)


def _little_endian(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _load_everything() -> None:
    """Load what is loaded at first use: afterwards no file can be opened."""
    warnings.simplefilter("ignore")  # their texts hold values of the header
    Image.init()
    Dataset().Rows = 1
    np.zeros((2, 2), dtype=np.float32).astype(np.uint8)
    for syntax in _COMPRESSED:
        get_decoder(UID(syntax))


_COMPRESSED = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)

if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)

"""Decoding, from the side of the API: always in another process, confined and with an end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from core.logs import logger
from service.api.dicomweb.confinement import ResourceLimits
from service.api.dicomweb.render_request import RenderRequest
from service.api.problems import ApiError

MODULE = "service.api.dicomweb.decode_process"

LONGEST_HEAD = 1024**2
"""Bytes of the answer's first line: a length a frame."""

LARGEST_PICTURE_BYTES = 256 * 1024**2
"""A PNG of ``LARGEST_VIEWPORT`` squared in colour."""


DEFAULT_RESOURCES = ResourceLimits(memory_bytes=3 * 1024**3, cpu_s=60)
"""Of the memory, 1 GB of addresses are the libraries'."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What decoding may cost.

    Parameters
    ----------
    processes
        At the same time.
    waiting
        Requests that wait for their turn; each holds a thread that others need too.
    wait_s
        How long one waits.
    wall_s
        How long a process may take, by the clock.
    decoded_bytes
        Of all frames of one request, decoded; larger ones are not begun.
    """

    processes: int = 2
    waiting: int = 8
    wait_s: float = 30.0
    wall_s: float = 60.0
    resources: ResourceLimits = DEFAULT_RESOURCES
    decoded_bytes: int = 128 * 1024**2


class Decoder:
    """Starts a process for each request."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self._turns = threading.BoundedSemaphore(limits.processes)
        self._places = threading.BoundedSemaphore(limits.processes + limits.waiting)

    def frames(self, path: Path, indices: Sequence[int], frame_bytes: int) -> list[bytes]:
        """Decode frames (from 0), each as Explicit VR Little Endian holds it.

        Raises
        ------
        ApiError
            406: they cannot be decoded, or are too large; 503: too much is asked at once.
        """
        self._check_size(len(indices) * frame_bytes)
        return self._run(path, "frames", json.dumps(list(indices)), len(indices) * frame_bytes)

    def render(self, path: Path, request: RenderRequest, frame_bytes: int) -> bytes:
        """Draw a picture of a frame.

        Raises
        ------
        ApiError
            As ``frames``.
        """
        self._check_size(frame_bytes)
        (picture,) = self._run(path, "render", request.to_json(), LARGEST_PICTURE_BYTES)
        return picture

    def _check_size(self, decoded_bytes: int) -> None:
        if decoded_bytes > self.limits.decoded_bytes:
            raise ApiError(
                HTTPStatus.NOT_ACCEPTABLE,
                f"frames of {decoded_bytes} bytes, expected at most {self.limits.decoded_bytes} at once;"
                " ask for fewer, or for the stored transfer syntax",
            )

    def _run(self, path: Path, operation: str, argument: str, maximum_bytes: int) -> list[bytes]:
        with (
            _held(self._places, 0),
            _held(self._turns, self.limits.wait_s),
            path.open("rb") as file,
            self._process(file, operation, argument) as answer,
        ):
            return _read_answer(answer, maximum_bytes)

    def _command(self, operation: str, argument: str) -> list[str]:
        limits = self.limits.resources
        bounds = [str(limits.memory_bytes), str(limits.cpu_s)]
        return [sys.executable, "-m", MODULE, operation, argument, *bounds]

    @contextmanager
    def _process(self, file: IO[bytes], operation: str, argument: str) -> Iterator[IO[bytes]]:
        """Run the process; it is gone afterwards, whatever happened."""
        process = subprocess.Popen(  # noqa: S603 - our own module, arguments made here
            self._command(operation, argument),
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": ":".join(entry for entry in sys.path if entry), "OMP_NUM_THREADS": "1"},
            cwd="/",
        )
        end = threading.Timer(self.limits.wall_s, process.kill)
        end.start()
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            with process.stdout:
                yield process.stdout
        finally:
            end.cancel()
            process.kill()
            process.wait()


@contextmanager
def _held(places: threading.Semaphore, wait_s: float) -> Iterator[None]:
    if not places.acquire(blocking=wait_s > 0, timeout=wait_s or None):
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "too many images are being decoded; try again")
    try:
        yield
    finally:
        places.release()


def _read_answer(answer: IO[bytes], maximum_bytes: int) -> list[bytes]:
    head = answer.readline(LONGEST_HEAD)
    if not head.endswith(b"\n"):
        raise _not_decodable("the decoder did not survive it")
    described: dict[str, Any] = json.loads(head)
    if described["error"] is not None:
        raise _not_decodable(described["error"])
    if not described["confined"]:
        logger().warning("the kernel does not confine the decoder (seccomp)")
    lengths = [int(length) for length in described["lengths"]]
    if sum(lengths) > maximum_bytes:
        raise _not_decodable("more bytes than its header says")
    contents = [answer.read(length) for length in lengths]
    if [len(content) for content in contents] != lengths:
        raise _not_decodable("the decoder did not survive it")
    return contents


def _not_decodable(reason: str) -> ApiError:
    logger().warning("an image could not be decoded", reason=reason)
    return ApiError(HTTPStatus.NOT_ACCEPTABLE, f"the image cannot be decoded ({reason})")

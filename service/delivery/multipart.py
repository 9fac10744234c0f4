"""multipart/related bodies (RFC 2387) of DICOM files, streamed: no file is ever whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from service.delivery.results import ResultObject

CHUNK_BYTES = 1 << 16
"""Read and sent at once."""


class DicomMultipart:
    """Files as the parts of one body, its length known before it is sent.

    The boundary derives from what is sent, so that nobody who writes an object can put it inside.
    """

    def __init__(self, results: Sequence[ResultObject]) -> None:
        self._results = results
        names = "".join(f"{result.sop_instance_uid}{result.sha256}" for result in results)
        self._boundary = hashlib.sha256(names.encode()).hexdigest()

    @property
    def content_type(self) -> str:
        """Value of the Content-Type header (PS3.18 10.5.1)."""
        return f'multipart/related; type="application/dicom"; boundary={self._boundary}'

    @property
    def length(self) -> int:
        """Length of the body in bytes."""
        framing = len(self._head()) + len(b"\r\n")
        files = sum(framing + result.path.stat().st_size for result in self._results)
        return files + len(self._end())

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body, piece by piece."""
        for result in self._results:
            yield self._head()
            with result.path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
            yield b"\r\n"
        yield self._end()

    def _head(self) -> bytes:
        return f"--{self._boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()

    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

"""An application with DICOMweb in this process, and what a client sends to it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from pydicom import Dataset

from core.database import InstanceRow
from service.api.app import create_app
from tests.mr_headers import with_file_meta
from tests.service.api_client import ApiClient, CollectedAudit, api_parts
from tests.service.service_records import MovedClock, Records

STORE_TYPE = 'multipart/related; type="application/dicom"; boundary=metserve-test'
BOUNDARY = b"metserve-test"


class DicomWebDesk:
    """An application over a store and a database in a folder."""

    def __init__(self, folder: Path, **parts: Any) -> None:
        self.records = Records(folder)
        self.audit = CollectedAudit()
        self.clock = MovedClock()
        settings = {"audit": self.audit, "clock": self.clock, **parts}
        self.app = create_app(api_parts(self.records, folder, **settings))
        self.client = ApiClient(self.app)

    def store(self, *files: bytes | Dataset, study: str = "", **headers: str) -> httpx.Response:
        """Send files as one STOW-RS request."""
        contents = [file if isinstance(file, bytes) else file_bytes(file) for file in files]
        path = f"/dicomweb/studies/{study}" if study else "/dicomweb/studies"
        return self.send(multipart(contents), path=path, **headers)

    def send(self, body: bytes, *, path: str = "/dicomweb/studies", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=body, headers={"Content-Type": STORE_TYPE, **named})

    def instances(self) -> list[InstanceRow]:
        with self.records.read_sessions() as session:
            return list(session.query(InstanceRow))

    def uploads(self) -> list[Path]:
        return list((self.records.store.root / "spool" / "uploads").iterdir())

    def quarantined(self) -> list[Path]:
        return list((self.records.store.root / "quarantine").glob("*.dcm"))


def file_bytes(dataset: Dataset, transfer_syntax_uid: str | None = None) -> bytes:
    """Return a data set as a PS3.10 file."""
    dataset = with_file_meta(dataset)
    if transfer_syntax_uid is not None:
        dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def multipart(contents: Sequence[bytes], *, header: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    """Return a multipart body with ``metserve-test`` as its boundary."""
    parts = (b"--" + BOUNDARY + b"\r\n" + header + b"\r\n" + content + b"\r\n" for content in contents)
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"

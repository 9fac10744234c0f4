"""What the DICOMweb routes work with beside ``ApiParts``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.dicomweb.multipart_request import BodyLimits
from service.api.dicomweb.uploads import Uploads
from service.api.parts import ApiParts
from service.receiving.ingest import Ingest

DEFAULT_LIMITS = BodyLimits(maximum_parts=5000, maximum_part_bytes=2 * 1024**3, maximum_bytes=16 * 1024**3)
"""A head study has up to 1000 slices; an Enhanced MR up to 1 GB."""


@dataclass(frozen=True, slots=True)
class DicomWeb:
    """What the DICOMweb routes of one application share."""

    ingest: Ingest
    uploads: Uploads
    limits: BodyLimits


def open_dicomweb(parts: ApiParts) -> DicomWeb:
    """Build what the routes share; remove uploads that a killed process left."""
    uploads = Uploads(parts.store, parts.minimum_free_bytes)
    uploads.sweep(parts.clock())
    return DicomWeb(
        ingest=Ingest(parts.store, parts.sessions, parts.clock), uploads=uploads, limits=DEFAULT_LIMITS
    )


def _dicomweb_of(request: Request) -> DicomWeb:
    dicomweb = request.app.state.dicomweb
    if not isinstance(dicomweb, DicomWeb):
        raise TypeError(f"the application's DICOMweb is {type(dicomweb).__name__}, expected DicomWeb")
    return dicomweb


DicomWebOf = Annotated[DicomWeb, Depends(_dicomweb_of)]

"""What the DICOMweb routes work with beside ``ApiParts``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from core.settings import ApiSettings
from service.api.dicomweb.accesses import Accesses
from service.api.dicomweb.decoding import DecodeLimits, Decoder
from service.api.dicomweb.metadata import MetadataCache
from service.api.dicomweb.multipart_request import BodyLimits
from service.api.dicomweb.uploads import Uploads
from service.api.parts import ApiParts
from service.receiving.ingest import Ingest

METADATA_CACHE_BYTES = 64 * 1024**2
"""Headers of some 10,000 slices."""


@dataclass(frozen=True, slots=True)
class DicomWeb:
    """What the DICOMweb routes of one application share."""

    ingest: Ingest
    uploads: Uploads
    limits: BodyLimits
    decoder: Decoder
    metadata: MetadataCache
    accesses: Accesses


def open_dicomweb(parts: ApiParts) -> DicomWeb:
    """Build what the routes share; remove uploads that a killed process left."""
    uploads = Uploads(parts.store, parts.minimum_free_bytes)
    uploads.sweep(parts.clock())
    return DicomWeb(
        ingest=Ingest(
            parts.store,
            parts.sessions,
            parts.clock,
            keep_other_storage_classes=parts.keep_other_storage_classes,
        ),
        uploads=uploads,
        limits=_limits(parts.settings),
        decoder=Decoder(DecodeLimits()),
        metadata=MetadataCache(METADATA_CACHE_BYTES),
        accesses=Accesses(),
    )


def _limits(settings: ApiSettings) -> BodyLimits:
    return BodyLimits(
        maximum_parts=settings.stow_maximum_parts,
        maximum_part_bytes=settings.stow_maximum_part_bytes,
        maximum_bytes=settings.stow_maximum_bytes,
    )


def _dicomweb_of(request: Request) -> DicomWeb:
    dicomweb = request.app.state.dicomweb
    if not isinstance(dicomweb, DicomWeb):
        raise TypeError(f"the application's DICOMweb is {type(dicomweb).__name__}, expected DicomWeb")
    return dicomweb


DicomWebOf = Annotated[DicomWeb, Depends(_dicomweb_of)]

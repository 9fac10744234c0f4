"""Addresses of this service as its client sees it: behind a proxy, under its prefix."""

from __future__ import annotations

from fastapi import Request

from service.api.parts import parts_of

DICOMWEB_PREFIX = "/dicomweb"


def studies_url(request: Request) -> str:
    """Return the absolute URL below which every study has its resource."""
    base_url = parts_of(request).settings.public_url or str(request.base_url)
    return f"{base_url.rstrip('/')}{DICOMWEB_PREFIX}/studies"

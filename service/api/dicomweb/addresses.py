"""Addresses of this service as its client sees it: behind a proxy, under its prefix."""

from __future__ import annotations

from fastapi import Request

DICOMWEB_PREFIX = "/dicomweb"


def studies_url(request: Request) -> str:
    """Return the absolute URL below which every study has its resource."""
    return f"{str(request.base_url).rstrip('/')}{DICOMWEB_PREFIX}/studies"

"""The DICOMweb routes, under one prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends

from service.api.dicomweb import pixels, rendered, retrieve, search, store
from service.api.dicomweb.addresses import DICOMWEB_PREFIX
from service.api.dicomweb.parts import open_dicomweb
from service.api.parts import ApiParts


def install_dicomweb(
    app: FastAPI, parts: ApiParts, *, guards: Sequence[Depends], responses: Mapping[int | str, dict[str, Any]]
) -> None:
    """Serve DICOMweb, behind the guards of the rest of the API.

    Parameters
    ----------
    responses
        What every route may answer, for OpenAPI.
    """
    app.state.dicomweb = open_dicomweb(parts)
    router = APIRouter()
    for module in (store, search, retrieve, pixels, rendered):
        router.include_router(module.router)
    app.include_router(router, prefix=DICOMWEB_PREFIX, dependencies=guards, responses=dict(responses))

"""The API's documentation page, from files on this machine: hospital networks reach no CDN."""

from __future__ import annotations

from html import escape
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

ASSETS_URL = "/docs/assets"
ASSETS = Path(fastapi_offline.__file__).parent / "static"
"""Swagger UI as fastapi-offline ships it; nothing else of that package is used."""

START_URL = "/docs/start.js"
OPENAPI_URL = "/openapi.json"

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{root}/docs/assets/swagger-ui.css">
<link rel="icon" href="{root}/docs/assets/favicon.png">
</head>
<body>
<div id="swagger-ui" data-openapi="{root}/openapi.json"></div>
<script src="{root}/docs/assets/swagger-ui-bundle.js"></script>
<script src="{root}/docs/start.js"></script>
</body>
</html>
"""

START = """\
const place = document.getElementById("swagger-ui");
SwaggerUIBundle({
  url: place.dataset.openapi,
  domNode: place,
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
"""A file of its own: our Content-Security-Policy allows no script inside a page."""

_router = APIRouter(include_in_schema=False)


def install_docs(app: FastAPI) -> None:
    """Serve /docs, the script and style it needs, and the description of the API itself."""
    app.mount(ASSETS_URL, StaticFiles(directory=ASSETS), name="docs-assets")
    app.include_router(_router)


@_router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Show the API, and let people try it."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return HTMLResponse(PAGE.format(title=escape(f"{request.app.title}: API"), root=escape(root)))


@_router.get(START_URL)
def start_script() -> Response:
    """Start the page."""
    return Response(START, media_type="text/javascript")


@_router.get(OPENAPI_URL)
def description(request: Request) -> JSONResponse:
    """Describe the API in OpenAPI."""
    document = dict(request.app.openapi())
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return JSONResponse(document | {"servers": [{"url": root}]} if root else document)

"""The OHIF viewer in a headless browser, beside a PACS that speaks DICOMweb."""

from __future__ import annotations

import json
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.system.peers import REPOSITORY, Archive

VIEWER = REPOSITORY / ".tools" / "ohif" / "dist"
CHROMIUM = Path("/usr/bin/chromium")

PROXY_LIMIT_S = 60.0
STEP_LIMIT_MS = 90_000
"""The viewer compiles 20 MB of script on two slow cores, and draws without a GPU."""

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
"""WebGL in software; no sandbox, since CI runs as root; nothing is asked of the network."""

ISOLATION_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""Browsers share memory between a page's workers only under these."""

SIZE = {"width": 1600, "height": 1000}


def viewer_config(root: str) -> str:
    """Return the viewer's app-config.js: one DICOMweb server, nothing beyond this machine."""
    config = {
        "routerBasename": "/",
        "extensions": [],
        "modes": [],
        "showStudyList": True,
        "investigationalUseDialog": {"option": "never"},
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": False,
        "strictZSpacingForVolumeViewport": True,
        "maxNumberOfWebWorkers": 2,
        "defaultDataSourceName": "pacs",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "pacs",
                "configuration": {
                    "friendlyName": "test PACS",
                    "name": "pacs",
                    "wadoUriRoot": root,
                    "qidoRoot": root,
                    "wadoRoot": root,
                    "qidoSupportsIncludeField": False,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "wadors",
                    "enableStudyLazyLoad": True,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": True,
                    "bulkDataURI": {"enabled": True},
                    "omitQuotationForMultipartRequest": True,
                },
            }
        ],
    }
    return f"window.config = {json.dumps(config)};"


class ViewerServer:
    """Serves the viewer's files, and passes its DICOMweb requests on to the PACS, from one origin."""

    def __init__(self, archive: Archive) -> None:
        assert VIEWER.is_dir(), "the viewer is not installed: run scripts/viewer.sh"
        self._pacs = httpx.Client(
            base_url=archive.http.base_url, auth=("test", "test"), timeout=PROXY_LIMIT_S
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._pacs, archive.DICOMWEB_ROOT))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._pacs.close()


def _handler(pacs: httpx.Client, dicomweb_root: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith(dicomweb_root):
                self._pass_on()
            elif path == "/app-config.js":
                self._answer(viewer_config(dicomweb_root.rstrip("/")).encode(), "text/javascript")
            else:
                self._serve_file(path)

        def _pass_on(self) -> None:
            host = self.headers["Host"]
            answer = pacs.get(
                self.path,
                headers={"Accept": self.headers.get("Accept", "*/*"), "Forwarded": f"host={host};proto=http"},
            )
            self._answer(answer.content, answer.headers.get("Content-Type", ""), answer.status_code)

        def _serve_file(self, path: str) -> None:
            file = (VIEWER / path.lstrip("/")).resolve()
            if not file.is_file() or not file.is_relative_to(VIEWER.resolve()):
                file = VIEWER / "index.html"  # the viewer's own routes, such as /viewer
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self._answer(file.read_bytes(), kind)

        def _answer(self, body: bytes, kind: str, status: int = HTTPStatus.OK) -> None:
            self.send_response(status)
            for name, value in {**ISOLATION_HEADERS, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Say nothing: the PACS has a log."""

    return Handler


@contextmanager
def headless_browser() -> Iterator[Browser]:
    """Run Debian's Chromium with WebGL in software."""
    assert CHROMIUM.exists(), "install Debian's chromium (scripts/peers.sh)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def open_study(browser: Browser, server: ViewerServer, study_instance_uid: str, mode: str) -> Page:
    """Open a study in one of the viewer's modes, and wait until an image is drawn."""
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(STEP_LIMIT_MS)
    page.goto(f"{server.origin}/{mode}?StudyInstanceUIDs={study_instance_uid}")
    page.wait_for_selector("[data-cy='study-browser-thumbnail']")
    page.wait_for_selector("canvas.cornerstone-canvas")
    return page

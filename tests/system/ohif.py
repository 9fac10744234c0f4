"""The OHIF viewer in a headless browser, beside a PACS that speaks DICOMweb."""

from __future__ import annotations

import contextlib
import io
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
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.system.peers import REPOSITORY, Archive

VIEWER = REPOSITORY / ".tools" / "ohif" / "dist"
CHROMIUM = Path("/usr/bin/chromium")

PROXY_LIMIT_S = 60.0
STEP_LIMIT_MS = 180_000
"""The viewer compiles 20 MB of script on two slow cores, and draws without a GPU."""
HOVERS = 6
"""The panel is drawn anew while it loads, and the card of a hovered row is lost: hover again."""

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

SIZE: ViewportSize = {"width": 1600, "height": 1000}

NO_TOUR = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))"
"""The tour for new users would lie over everything."""

CANVAS_TO_WORLD = "point => window.cornerstone.getEnabledElements()[0].viewport.canvasToWorld(point)"

PICTURE_SIZE = (960, 600)
"""A page in a document: every word can be read, and the file stays below 300 kB."""


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
        self._server = _HttpServer(archive)
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
        self._server.pacs.close()


class _HttpServer(ThreadingHTTPServer):
    """Knows the PACS, for the handler of each request."""

    daemon_threads = True
    block_on_close = False
    """A browser keeps its connections open."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dicomweb_root = archive.DICOMWEB_ROOT
        self.pacs = httpx.Client(base_url=archive.http.base_url, auth=("test", "test"), timeout=PROXY_LIMIT_S)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a page that is closed leaves its connections
            super().handle()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(self.server.dicomweb_root):
            self._pass_on()
        elif path == "/app-config.js":
            config = viewer_config(self.server.dicomweb_root.rstrip("/"))
            self._answer(config.encode(), "text/javascript")
        else:
            self._serve_file(path)

    def _pass_on(self) -> None:
        """Ask the PACS; it names this server in the addresses it answers with."""
        headers = {
            "Accept": self.headers.get("Accept", "*/*"),
            "Host": self.headers["Host"],
            "Forwarded": f"host={self.headers['Host']};proto=http",
        }
        answer = self.server.pacs.get(self.path, headers=headers)
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


class OpenStudy:
    """A study in the viewer, and what a reader does there."""

    def __init__(self, browser: Browser, server: ViewerServer, study_instance_uid: str) -> None:
        self.page = browser.new_page(viewport=SIZE)
        self.page.set_default_timeout(STEP_LIMIT_MS)
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.add_init_script(NO_TOUR)
        self.page.goto(f"{server.origin}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self._canvas.wait_for()

    @property
    def _canvas(self) -> Locator:
        return self.page.locator("canvas.cornerstone-canvas").first

    def series(self) -> list[str]:
        """Return modality and description of each series of the study."""
        labels = ("series-modality-label", "series-description-label")
        modalities, names = (self.page.locator(f"[data-cy='{label}']").all_inner_texts() for label in labels)
        return [f"{modality} {name}" for modality, name in zip(modalities, names, strict=True)]

    def open(self, description: str) -> None:
        """Open a series of results over the images."""
        rows = self.page.locator("[data-cy='study-browser-thumbnail-no-image']")
        rows.filter(has=self.page.get_by_text(description, exact=True)).dblclick()

    def load_regions(self, description: str) -> list[str]:
        """Open segmentation or structure set, agree to load it; return the names the panel lists."""
        self.open(description)
        self.page.locator("[data-cy='yes-hydrate-btn']").click()
        self.page.locator("[data-cy='panelSegmentation-btn']").click()
        titles = self.page.locator("[data-cy='data-row-title']")
        titles.first.wait_for()
        return titles.all_inner_texts()

    def go_to(self, region: str) -> None:
        """Click a region in the panel: the viewer jumps to it. Leave the card that opens beside it."""
        self._region(region).click()
        self.page.mouse.move(0, 0)

    def voxel_count(self, region: str) -> int:
        """Return how many voxels the viewer counts in a region, from the card beside it."""
        label = self.page.get_by_text("Voxel Count", exact=True)
        for attempt in range(HOVERS):
            self._region(region).hover()
            try:
                label.wait_for(timeout=STEP_LIMIT_MS / HOVERS)
                break
            except PlaywrightTimeout:
                if attempt == HOVERS - 1:
                    raise
                self.page.mouse.move(0, 0)
        row = label.locator("xpath=..").inner_text()
        self.page.mouse.move(0, 0)
        label.wait_for(state="hidden")
        return int(row.split()[-1].replace(",", ""))

    def _region(self, name: str) -> Locator:
        return self.page.locator("[data-cy='data-row-title']", has_text=name)

    def instance_number(self) -> int:
        """Return the number of the image shown, as it stands in its corner: I:42 (31/72)."""
        text = self.page.locator("[data-cy='viewport-overlay-bottom-right']").inner_text()
        return int(text.split("(")[0].strip().removeprefix("I:"))

    def drawn_text(self) -> str:
        """Return what is written over the image."""
        return " ".join(self.page.locator("[data-cy='viewport-pane'] svg text").all_text_contents())

    def picture(self) -> NDArray[np.int16]:
        """Return what is seen of the image and over it, (rows, columns, RGB)."""
        box = self._canvas.bounding_box()
        assert box is not None, "the image is on the page"
        content = self.page.screenshot(clip=box)
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int16)

    def to_lps_mm(self, row: float, column: float) -> tuple[float, float, float]:
        """Return where a pixel of the picture lies in the patient, as the viewer has it."""
        x, y, z = self.page.evaluate(CANVAS_TO_WORLD, [column, row])
        return x, y, z

    def save(self, path: Path) -> None:
        """Keep the whole page as a PNG for documents."""
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        image.thumbnail(PICTURE_SIZE)
        image.save(path, optimize=True)

    def close(self) -> None:
        self.page.close()

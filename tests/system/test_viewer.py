"""Results open in OHIF, over the right images, at the right place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser
from pydicom import dcmread

from core.results import ResultKind
from core.study import SeriesRole
from phantom.study import PhantomStudy
from tests.system.known_results import KnownResults, deliver, write_known_results
from tests.system.ohif import OpenStudy, ViewerServer, headless_browser
from tests.system.peers import Archive, running, storescu, wait_until
from tests.system.studies import write_copy
from worker.encoding.palette import RGB, lesion_colour
from worker.filling import fill_lesions

pytestmark = pytest.mark.system

DRAW_LIMIT_S = 60.0

COLOUR_TOLERANCE = 24
"""Of 255 a channel: outlines are smoothed against the grey below them."""

LEAST_OUTLINE_PIXELS = 40
"""Of the screen: a lesion of 15 mm is some 60 pixels across."""

PLACE_TOLERANCE_VOXELS = 1.0
"""Contours run along voxel edges; a mirrored axis would be tens of voxels off."""

PICTURES = os.environ.get("METSERVE_TEST_PICTURES_DIR")
"""Where pictures of the viewer are kept, if anywhere: those of docs/viewer.md were made with it."""


@dataclass(frozen=True)
class Reader:
    """A reader's browser, and the PACS with the study."""

    browser: Browser
    server: ViewerServer
    results: KnownResults


@pytest.fixture(scope="module")
def reader(phantom: PhantomStudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("viewer")
    study = write_copy(phantom, folder / "study", "viewer")
    results = write_known_results(study, folder / "results")
    archive = Archive(folder / "pacs")
    with running(archive):
        storescu([study.folder], archive.dicom_port, called=archive.AE_TITLE)
        deliver(results, archive)
        server = ViewerServer(archive)
        with running(server), headless_browser() as browser:
            yield Reader(browser, server, results)


@pytest.fixture
def opened(reader: Reader) -> Iterator[OpenStudy]:
    view = OpenStudy(reader.browser, reader.server, reader.results.study.study_instance_uid)
    yield view
    view.close()


def test_the_study_lists_images_and_results_and_asks_nobody_else(reader: Reader, opened: OpenStudy) -> None:
    _wait(lambda: len(opened.series()) >= 2 + len(reader.results.encoded.objects), "every series is listed")
    expected = {f"{d.Modality} {d.SeriesDescription}" for d in reader.results.encoded.objects.values()}
    assert set(opened.series()) == expected | {"MR AX T1 3D", "MR AX T1 3D POST"}
    hosts = {urlsplit(url).hostname for url in opened.requests if url.startswith("http")}
    assert hosts == {"127.0.0.1"}


def test_the_segmentation_loads_with_its_names_over_the_lesion(reader: Reader, opened: OpenStudy) -> None:
    assert len(_pixels_like(opened.picture(), lesion_colour(1))) == 0
    names = [lesion.tracking_id for lesion in reader.results.findings.lesions]
    assert opened.load_regions(_description(reader, ResultKind.SEG)) == names
    opened.go_to("BM-01")
    labels = reader.results.findings.label_map_kji
    _wait(lambda: _is_drawn_around(labels, reader, opened), "BM-01 is drawn in its colour where it lies")
    assert opened.voxel_count("BM-01") == (labels == 1).sum()
    _keep(opened, "ohif-seg")


def test_the_structure_set_loads_with_its_outline_around_the_lesion(
    reader: Reader, opened: OpenStudy
) -> None:
    assert len(_pixels_like(opened.picture(), lesion_colour(1))) == 0
    structures = reader.results.encoded.objects[ResultKind.RTSTRUCT]
    names = [str(region.ROIName) for region in structures.StructureSetROISequence]
    assert opened.load_regions(_description(reader, ResultKind.RTSTRUCT)) == names
    opened.go_to(names[0])
    filled = fill_lesions(reader.results.findings.label_map_kji)
    _wait(lambda: _is_drawn_around(filled, reader, opened), "BM-01 is outlined in its colour where it lies")
    _keep(opened, "ohif-rtstruct")


def test_the_report_opens_on_an_image_with_the_measures_of_the_lesion(
    reader: Reader, opened: OpenStudy
) -> None:
    opened.open(_description(reader, ResultKind.SR))
    lesion = reader.results.findings.lesions[0]
    volume = f"Volume: {lesion.volume_mm3:.2f} mm3"
    _wait(lambda: volume in opened.drawn_text(), f"{volume!r} stands beside the lesion")
    shown = opened.drawn_text()
    assert re.search(rf"Number of lesions: {len(reader.results.findings.lesions)}\b", shown)
    assert _slice_shown(reader, opened) == lesion.slice_index_k
    _keep(opened, "ohif-sr")


def _description(reader: Reader, kind: ResultKind) -> str:
    return str(reader.results.encoded.objects[kind].SeriesDescription)


def _wait(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, DRAW_LIMIT_S, what)


def _pixels_like(picture: NDArray[np.int16], colour: RGB) -> NDArray[np.intp]:
    """Return row and column of the pixels of a colour, shape (n, 2)."""
    difference = np.abs(picture - np.array(colour, dtype=np.int16))
    return np.argwhere((difference <= COLOUR_TOLERANCE).all(axis=-1))


def _slice_shown(reader: Reader, opened: OpenStudy) -> int:
    files = reader.results.study.series(SeriesRole.T1_POST)
    numbers = [int(dcmread(path, specific_tags=["InstanceNumber"]).InstanceNumber) for path in files]
    return numbers.index(opened.instance_number())


def _is_drawn_around(labels_kji: NDArray[np.uint16], reader: Reader, opened: OpenStudy) -> bool:
    """Tell whether lesion 1 is drawn on the slice shown, its box around the box of the voxels.

    Asked until it is so: the viewer moves to the slice, and makes room for its panel.
    """
    k = _slice_shown(reader, opened)
    drawn = _pixels_like(opened.picture(), lesion_colour(1))
    expected_ji = np.argwhere(labels_kji[k] == 1)
    if len(drawn) < LEAST_OUTLINE_PIXELS or not len(expected_ji):
        return False
    found_kji = reader.results.findings.grid.to_index_kji(opened.to_lps_mm(*(_middle(drawn) + 0.5)))
    distance = np.abs(found_kji - np.array([k, *_middle(expected_ji)]))
    return bool((distance <= PLACE_TOLERANCE_VOXELS).all())


def _middle(places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the middle of the box around places."""
    return np.asarray((places.min(axis=0) + places.max(axis=0)) / 2)


def _keep(opened: OpenStudy, name: str) -> None:
    if PICTURES is not None:
        opened.save(Path(PICTURES) / f"{name}.png")

"""A real head, scanned obliquely with known lesions laid into it, goes all the way round."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from rich.console import Console

from cli.demo import label_map_of
from cli.demo_study import DemoRequest, make_study
from phantom.scoring import LesionScore, match
from tests.system.hospital import embedded_hospital
from tests.system.metserve import TEST_SETTINGS
from tests.system.peers import storescu

pytestmark = pytest.mark.system

VARIABLE = "METSERVE_TEST_T1_DIR"
"""Names a folder with one T1 series of a whole head as DICOM, or with a zip file of one; or that file."""

LEAST_SENSITIVITY = 0.75
"""Share of the lesions above 6 mm; the profile for tests is weaker than the released one."""

LEAST_OVERLAP = 0.5
"""Median share of a found lesion's true volume that is covered: a shift of 2 mm would halve it."""


@pytest.fixture
def real_t1(tmp_path: Path) -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} is not set; it names a folder with a real T1 series")
    source = Path(named)
    archives = [source] if source.is_file() else sorted(source.glob("*.zip"))
    if not archives:
        return source
    with zipfile.ZipFile(archives[0]) as archive:
        archive.extractall(tmp_path / "t1")
    return tmp_path / "t1"


def test_lesions_laid_into_a_real_head_are_found_where_they_are(
    real_t1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METSERVE_WORKER_CACHE_DIR", TEST_SETTINGS["WORKER_CACHE_DIR"])
    request = DemoRequest(
        out=tmp_path / "demo",
        seed=0,
        source=real_t1,
        spacing_kji_mm=(1.5, 1.0, 1.0),
        oblique_deg=12.0,
        profile=None,
    )
    study, identity, folder = make_study(request, Console(quiet=True))
    with embedded_hospital(tmp_path) as hospital:
        storescu([folder], hospital.pacs.dicom_port, called=hospital.pacs.AE_TITLE)
        hospital.metserve.wait_for(identity.uid("study"), "delivered")
        assert hospital.pacs.result_counts(identity.uid("study")) == (1, 1)
        (seg,) = hospital.pacs.files(identity.uid("study"), "SEG")

    grid = study.t1_post.grid
    score = match(study.truth, label_map_of(dcmread(io.BytesIO(seg)), grid), grid.voxel_volume_mm3)
    large = [lesion for lesion in score.lesions if lesion.is_large]
    found = [lesion for lesion in large if lesion.detected]
    assert len(found) >= LEAST_SENSITIVITY * len(large)
    assert np.median([covered_share(lesion) for lesion in found]) >= LEAST_OVERLAP


def covered_share(lesion: LesionScore) -> float:
    return lesion.overlap_mm3 / lesion.truth.volume_mm3

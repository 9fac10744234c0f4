"""`metserve analyze` on folders as people really have them: the status and the message say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, generate_uid

from cli.main import EXIT_INVALID_INPUT, EXIT_UNSUITABLE
from core.study import SeriesRole
from tests.system.studies import WrittenStudy

pytestmark = pytest.mark.system

ANALYZED = 0


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled networks, once for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def analyze(tmp_path: Path, cache: Path) -> Callable[[Path], tuple[int, str]]:
    """Run the command on a folder; return its exit status and everything it said, on one line."""
    out = tmp_path / "out"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("METSERVE_")},
        "METSERVE_DATA_DIR": str(tmp_path / "data"),
        "METSERVE_WORKER_CACHE_DIR": str(cache),
        "METSERVE_WORKER_PROFILE": "preview",
        "COLUMNS": "1000",
    }

    def run(folder: Path) -> tuple[int, str]:
        command = [sys.executable, "-m", "cli.main", "analyze", str(folder), "--out", str(out)]
        finished = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert "Traceback" not in finished.stdout
        if finished.returncode != ANALYZED:
            assert not out.exists(), "a refused study leaves no results"
        return finished.returncode, " ".join(finished.stdout.split())

    return run


def change(paths: list[Path], edit: Callable[[Dataset], None]) -> None:
    for path in paths:
        dataset = dcmread(path)
        edit(dataset)
        dataset.save_as(path)


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def test_a_folder_of_text_files(analyze, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("no images here")
    status, said = analyze(folder)
    assert status == EXIT_INVALID_INPUT
    assert "holds 2 files (a.txt, b.txt) and none of them is a DICOM instance; expected the MR images" in said


def test_an_empty_folder(analyze, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, said = analyze(tmp_path / "empty")
    assert status == EXIT_INVALID_INPUT
    assert "empty is empty; expected the DICOM files of one study" in said


def test_a_folder_that_does_not_exist(analyze, tmp_path: Path) -> None:
    status, said = analyze(tmp_path / "nowhere")
    assert status == EXIT_INVALID_INPUT
    assert "nowhere is not a folder; expected one that holds DICOM files" in said


def test_a_study_without_post_contrast(analyze, study: WrittenStudy) -> None:
    status, said = analyze(study.series(SeriesRole.T1)[0].parent)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (no_post_contrast): no T1 post-contrast among 1 MR series" in said
    assert "expected one with Contrast/Bolus Agent" in said


def test_a_study_with_post_contrast_alone_is_analysed_and_says_so(analyze, study: WrittenStudy) -> None:
    status, said = analyze(study.series(SeriesRole.T1_POST)[0].parent)
    assert status == ANALYZED
    assert "flags: t1_post_only" in said


def test_a_file_cut_inside_its_pixels(analyze, study: WrittenStudy) -> None:
    path = study.series(SeriesRole.T1_POST)[7]
    cut(path, path.stat().st_size - 5000)
    status, said = analyze(study.folder)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (unreadable_pixels)" in said
    assert "bytes, expected" in said


def test_a_file_cut_inside_its_header(analyze, study: WrittenStudy) -> None:
    path = study.series(SeriesRole.T1_POST)[7]
    cut(path, 700)
    status, said = analyze(study.folder)
    assert status == EXIT_INVALID_INPUT
    assert path.name in said
    assert "it is cut off or no image; expected a whole DICOM instance" in said


def test_a_ct(analyze, study: WrittenStudy) -> None:
    def to_ct(dataset: Dataset) -> None:
        dataset.Modality = "CT"
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage

    paths = study.series(SeriesRole.T1_POST)
    change(paths, to_ct)
    status, said = analyze(paths[0].parent)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (no_mr_series): no MR series; received: 1 x CT" in said


def test_the_same_pixels_before_and_after_contrast(analyze, study: WrittenStudy) -> None:
    t1_post = [dcmread(path) for path in study.series(SeriesRole.T1_POST)]
    t1 = study.series(SeriesRole.T1)
    for path, source in zip(t1, t1_post, strict=True):
        change([path], lambda dataset, source=source: copy_image(dataset, source))
    status, said = analyze(study.folder)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (identical_series): T1 and T1-post hold the same voxels, expected scans before" in said


def copy_image(dataset: Dataset, source: Dataset) -> None:
    for keyword in ("PixelData", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient"):
        setattr(dataset, keyword, source[keyword].value)
    dataset.ImageOrientationPatient = source.ImageOrientationPatient


def test_two_studies_in_one_folder(analyze, study: WrittenStudy) -> None:
    other = generate_uid()
    change(study.series(SeriesRole.T1), lambda dataset: setattr(dataset, "StudyInstanceUID", other))
    status, said = analyze(study.folder)
    assert status == EXIT_INVALID_INPUT
    assert "holds 2 studies" in said
    assert other in said
    assert "expected one" in said


def test_a_slice_is_missing(analyze, study: WrittenStudy) -> None:
    paths = study.series(SeriesRole.T1_POST)
    paths[len(paths) // 2].unlink()
    status, said = analyze(study.folder)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (irregular_geometry)" in said
    assert "slices are 2.50 to 5.00 mm apart, expected 2.50" in said


def test_two_slices_at_one_position(analyze, study: WrittenStudy) -> None:
    paths = study.series(SeriesRole.T1_POST)
    twin = dcmread(paths[4])
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    twin.save_as(paths[4].with_name("twin.dcm"))
    status, said = analyze(study.folder)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (irregular_geometry)" in said
    assert "slices lie where another lies, expected one a position" in said


def test_a_knee(analyze, study: WrittenStudy) -> None:
    change([*study.series(SeriesRole.T1), *study.series(SeriesRole.T1_POST)], to_knee)
    status, said = analyze(study.folder)
    assert status == EXIT_UNSUITABLE
    assert "unsuitable (wrong_anatomy): no series of the head" in said
    assert "body part KNEE, expected the head" in said


def to_knee(dataset: Dataset) -> None:
    dataset.BodyPartExamined = "KNEE"
    dataset.StudyDescription = dataset.SeriesDescription = dataset.ProtocolName = "t1 vibe"

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from cli.folders import read_study_folder
from core.errors import InvalidInput
from tests.synthetic import make_grid, make_series, make_volume


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study = tmp_path / "study"
    study.mkdir()
    for n, dataset in enumerate(make_series(make_volume(make_grid((3, 16, 16), (1, 1, 1))))):
        dataset.save_as(study / f"{n}.dcm", enforce_file_format=True)
    return study


def test_other_files_among_the_images_do_no_harm(folder: Path) -> None:
    (folder / "README.txt").write_text("exported by hand")
    assert len(read_study_folder(folder).paths) == 3


def test_a_folder_that_was_exported_twice_counts_once(folder: Path) -> None:
    shutil.copytree(folder, folder / "copy")
    found = read_study_folder(folder)
    assert [len(series.instances) for series in found.study.series] == [3]


def test_two_contents_under_one_uid_are_refused_by_name(folder: Path) -> None:
    dataset = dcmread(folder / "0.dcm")
    dataset.SeriesDescription = "ANOTHER"
    dataset.save_as(folder / "other.dcm")
    with pytest.raises(InvalidInput, match=r"0\.dcm and .*other\.dcm have the same SOP Instance UID"):
        read_study_folder(folder)

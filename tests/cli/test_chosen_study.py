"""A phantom study as a researcher has it: DICOM series and a person's SEG in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from cli.chosen_study import choose_dicom_study
from core.errors import UnsuitableReason, UnsuitableStudy
from evaluation.cohorts.imported.cohort import open_imported
from phantom.dicom import write_study
from phantom.study import PhantomSpec, PhantomStudy, PhantomTruth, Scan
from tests.evaluation.reference_seg import make_seg, save
from tests.synthetic import SAGITTAL, Sphere, distance_mm, grid_points, make_grid, make_volume
from worker.volumes import load_volume

LESION = Sphere((30.0, -20.0, 30.0), 9.0)


@pytest.fixture(scope="module")
def study() -> PhantomStudy:
    grid = make_grid((45, 120, 100), (4.0, 1.9, 1.9), orientation=SAGITTAL)
    post = make_volume(grid, lesions=(LESION,), seed=1)
    pre = make_volume(grid, enhanced=False, seed=2)
    labels = (distance_mm(grid_points(grid), LESION) < LESION.radius_mm).astype(np.uint16)
    truth = PhantomTruth((), np.eye(4), labels, np.ones(grid.shape_kji, dtype=np.bool_))
    spec = PhantomSpec(orientation="sagittal")
    return PhantomStudy(spec, Scan(pre.voxels_kji, grid), Scan(post.voxels_kji, grid), truth)


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory) -> Path:
    cohort = tmp_path_factory.mktemp("cohort")
    paths = write_study(study, cohort / "patient-1")
    sources = [dcmread(path) for path in paths if path.parent.name == "t1_post"]
    save(make_seg(sources, study.truth.label_map.astype(np.uint8)), cohort / "patient-1" / "seg" / "1.dcm")
    return cohort


def test_the_series_the_service_would_take_are_taken(folder, study):
    chosen = choose_dicom_study(folder / "patient-1")

    assert chosen.images.t1 is not None
    post, pre = load_volume(chosen.images.t1_post), load_volume(chosen.images.t1)
    assert np.abs(post.voxels_kji - study.t1_post.voxels_kji).max() <= 0.5
    assert study.t1 is not None
    assert np.abs(pre.voxels_kji - study.t1.voxels_kji).max() <= 0.5
    assert [path.name for path in chosen.segmentations] == ["1.dcm"]


def test_the_persons_reference_comes_back_where_the_lesions_are(folder, study):
    case = open_imported(folder, choose_dicom_study).make("patient-1")

    assert np.array_equal(case.reference_kji > 0, study.truth.label_map > 0)
    centre_lps_mm = case.t1_post.grid.to_lps_mm(np.argwhere(case.reference_kji)).mean(axis=0)
    assert centre_lps_mm == pytest.approx(LESION.centre_lps_mm, abs=0.5)


def test_a_study_without_contrast_is_turned_down_as_the_service_does(folder, tmp_path):
    native = tmp_path / "patient-2"
    native.mkdir()
    for path in (folder / "patient-1" / "t1").iterdir():
        (native / path.name).write_bytes(path.read_bytes())

    with pytest.raises(UnsuitableStudy) as refusal:
        open_imported(tmp_path, choose_dicom_study).make("patient-2")

    assert refusal.value.reason is UnsuitableReason.NO_POST_CONTRAST

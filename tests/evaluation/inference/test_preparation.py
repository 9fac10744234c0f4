from dataclasses import replace

import numpy as np
import pytest

from core.errors import UnsuitableStudy
from core.study import AnalysisMode, QualityFlag
from evaluation.cohorts.imported.study import ImportOptions
from evaluation.inference.preparation import Preparation, StrippedBrain
from tests.evaluation.stripped_head import GRID, LESION, SPEC, make_t1, make_t1_post, unused_brain
from worker.volumes import Volume

TOLD = ImportOptions(skull_stripped=True, registered=True)


@pytest.fixture(scope="module")
def t1_post() -> Volume:
    return make_t1_post()


@pytest.fixture(scope="module")
def t1() -> Volume:
    return make_t1()


def test_the_brain_of_a_stripped_scan_is_what_is_not_0(t1_post, t1):
    prepared = Preparation.of(TOLD, unused_brain, SPEC).prepare(t1_post, t1)

    assert np.array_equal(prepared.brain_mask_kji, t1_post.voxels_kji != 0)


def test_zeros_within_the_brain_belong_to_it(t1_post):
    holed = t1_post.voxels_kji.copy()
    holed[30:33, 40:43, 30:33] = 0

    assert StrippedBrain()(holed, GRID)[30:33, 40:43, 30:33].all()


def test_a_scan_with_a_background_is_not_stripped():
    noisy = np.ones(GRID.shape_kji, dtype=np.float32)

    with pytest.raises(UnsuitableStudy, match=r"none of .* voxels is 0"):
        StrippedBrain()(noisy, GRID)


def test_a_registered_t1_is_subtracted_where_it_lies(t1_post, t1):
    prepared = Preparation.of(TOLD, unused_brain, SPEC).prepare(t1_post, t1)

    assert prepared.mode is AnalysisMode.FULL
    assert prepared.flags == ()
    assert prepared.registration is not None
    assert (prepared.registration.rotation_deg, prepared.registration.translation_mm) == (0.0, 0.0)
    assert prepared.subtraction_kji is not None
    inside = prepared.subtraction_kji[prepared.brain_mask_kji]
    assert (inside.mean(), inside.std()) == pytest.approx((0, 1), abs=1e-3)
    assert not prepared.subtraction_kji[~prepared.brain_mask_kji].any()
    k, j, i = np.rint(prepared.grid.to_index_kji(LESION.centre_lps_mm)).astype(int)
    assert prepared.subtraction_kji[k, j, i] > 3


def test_the_released_registration_copes_with_stripped_scans(t1_post, t1):
    stripped_only = ImportOptions(skull_stripped=True)

    prepared = Preparation.of(stripped_only, unused_brain, SPEC).prepare(t1_post, t1)

    assert prepared.registration is not None
    assert prepared.registration.succeeded
    assert prepared.registration.translation_mm < 0.5


def test_a_registered_t1_that_covers_half_the_brain_is_left_out(t1_post, t1):
    half = replace(GRID, shape_kji=(35, *GRID.shape_kji[1:]))
    lower = replace(t1, voxels_kji=t1.voxels_kji[:35], grid=half)

    prepared = Preparation.of(TOLD, unused_brain, SPEC).prepare(t1_post, lower)

    assert prepared.mode is AnalysisMode.T1_POST_ONLY
    assert QualityFlag.T1_COVERS_PART in prepared.flags


def test_without_options_a_study_is_prepared_as_the_service_does(t1_post):
    calls = []

    def brain(head_kji, grid):
        calls.append(grid)
        return head_kji != 0

    preparation = Preparation.of(ImportOptions(), brain, SPEC)

    assert preparation.prepare(t1_post, None).mode is AnalysisMode.T1_POST_ONLY
    assert len(calls) == 1
    assert preparation.input_spec is SPEC

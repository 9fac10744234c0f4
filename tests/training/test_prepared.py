from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput
from tests.training.toy_studies import make_toy_study
from training.prepared import MINED_FILE, PreparedStudy, prepare_pair, to_ras


def a_pair(shape=(9, 10, 11)):
    rng = np.random.default_rng(1)
    t1 = rng.uniform(50, 150, shape).astype(np.float32)
    t1_post = (1.7 * t1 + rng.uniform(0, 40, shape)).astype(np.float32)
    mask = rng.random(shape) < 0.6
    return t1, t1_post, mask


def test_a_study_is_read_as_it_was_written(tmp_path: Path):
    study = make_toy_study("toy", 3, lesions=2)
    study.write(tmp_path / "toy")
    read = PreparedStudy.open(tmp_path / "toy")
    for what in ("t1_post_ras", "subtraction_ras", "labels_ras", "structures_ras"):
        np.testing.assert_array_equal(getattr(read, what), getattr(study, what))
        assert getattr(read, what).dtype == getattr(study, what).dtype
    assert read.lesions == study.lesions
    assert (read.name, read.anatomy, read.seed, read.recipe) == ("toy", "toy", 3, "toy")


def test_writing_again_replaces_and_leaves_nothing_else(tmp_path: Path):
    for seed in (3, 4):
        make_toy_study("toy", seed).write(tmp_path / "toy")
    assert PreparedStudy.open(tmp_path / "toy").seed == 4
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_who_reads_a_study_goes_on_while_it_is_replaced(tmp_path: Path):
    make_toy_study("toy", 3).write(tmp_path / "toy")
    reader = PreparedStudy.open(tmp_path / "toy")
    make_toy_study("toy", 4).write(tmp_path / "toy")
    np.testing.assert_array_equal(reader.t1_post_ras, make_toy_study("toy", 3).t1_post_ras)


@pytest.mark.parametrize(("recipe", "kept"), [("toy", True), ("another", False)])
def test_known_mistakes_stay_with_the_same_study_only(tmp_path: Path, recipe: str, kept: bool):
    make_toy_study("toy", 3).write(tmp_path / "toy")
    (tmp_path / "toy" / MINED_FILE).touch()
    replace(make_toy_study("toy", 3), recipe=recipe).write(tmp_path / "toy")
    assert (tmp_path / "toy" / MINED_FILE).exists() == kept


def test_a_lesion_is_as_conspicuous_in_either_input_as_it_is_bright(tmp_path: Path):
    labels = np.zeros((24, 24, 24), np.uint16)
    labels[10:14, 10:14, 10:14] = 3
    noise = np.random.default_rng(1).standard_normal((2, *labels.shape)).astype(np.float32)
    study = PreparedStudy.from_kji(
        name="n", anatomy="a", seed=None, recipe="r",
        t1_post_kji=noise[0], subtraction_kji=noise[1] + 5 * (labels > 0), labels_kji=labels,
    )  # fmt: skip
    (lesion,) = study.lesions
    assert abs(lesion.t1_post_conspicuity) < 0.7
    assert lesion.subtraction_conspicuity == pytest.approx(5, abs=0.8)


def test_a_study_with_an_infinite_voxel_is_refused():
    t1_post = np.ones((4, 4, 4), np.float32)
    bad = t1_post.copy()
    bad[1, 1, 1] = np.inf
    with pytest.raises(InvalidInput, match="subtraction of n has NaN or infinite voxels"):
        PreparedStudy.from_kji(
            name="n", anatomy="a", seed=None, recipe="r",
            t1_post_kji=t1_post, subtraction_kji=bad, labels_kji=np.zeros((4, 4, 4), np.uint16),
        )  # fmt: skip


def test_structures_may_be_unknown(tmp_path: Path):
    replace(make_toy_study("patient", 3), structures_ras=None, seed=None).write(tmp_path / "patient")
    assert PreparedStudy.open(tmp_path / "patient").structures_ras is None


def test_a_folder_without_a_study_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="no prepared study"):
        PreparedStudy.open(tmp_path)


def test_lesions_are_measured_and_centred_inside():
    labels = np.zeros((20, 20, 20), np.uint16)
    k, j, i = np.indices(labels.shape)
    radius = np.sqrt((k - 10) ** 2 + (j - 9) ** 2 + (i - 8) ** 2)
    labels[(radius > 3) & (radius < 5)] = 7
    t1_post = np.ones(labels.shape, np.float32)
    study = PreparedStudy.from_kji(
        name="ring", anatomy="a", seed=None, recipe="r",
        t1_post_kji=t1_post, subtraction_kji=t1_post, labels_kji=labels,
    )  # fmt: skip
    (lesion,) = study.lesions
    assert (lesion.number, lesion.volume_mm3) == (7, np.count_nonzero(labels))
    assert study.labels_ras[lesion.centre_ras] == 7


def test_a_study_is_cropped_to_its_mask_and_lesions_outside_are_dropped():
    t1_post = np.zeros((12, 13, 14), np.float32)
    t1_post[2:10, 3:9, 4:13] = 1.5
    labels = np.zeros(t1_post.shape, np.uint16)
    labels[0, 0, 0] = 1
    labels[4, 4, 5:7] = 2
    study = PreparedStudy.from_kji(
        name="n", anatomy="a", seed=None, recipe="r",
        t1_post_kji=t1_post, subtraction_kji=t1_post, labels_kji=labels,
    )  # fmt: skip
    assert study.t1_post_ras.shape == (9, 6, 8)
    assert [lesion.number for lesion in study.lesions] == [2]


def test_volumes_of_different_shapes_are_refused():
    zeros = np.zeros((4, 4, 4), np.float32)
    with pytest.raises(InvalidInput, match=r"labels of n has shape \(3, 4, 4\), expected \(4, 4, 4\)"):
        PreparedStudy.from_kji(
            name="n", anatomy="a", seed=None, recipe="r",
            t1_post_kji=zeros, subtraction_kji=zeros, labels_kji=np.zeros((3, 4, 4), np.uint16),
        )  # fmt: skip


def test_both_volumes_have_mean_0_and_deviation_1_in_the_mask_and_are_0_outside():
    t1, t1_post, mask = a_pair()
    for volume in prepare_pair(t1, t1_post, mask):
        assert volume.dtype == np.float32
        assert volume[mask].mean() == pytest.approx(0, abs=1e-6)
        assert volume[mask].std() == pytest.approx(1, abs=1e-6)
        assert not volume[~mask].any()


def test_neither_scale_nor_gain_of_the_scans_matters():
    t1, t1_post, mask = a_pair()
    for one, other in zip(
        prepare_pair(t1, t1_post, mask), prepare_pair(3 * t1, 0.2 * t1_post, mask), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_empty_t1_is_refused():
    t1, t1_post, mask = a_pair()
    with pytest.raises(InvalidInput, match="median is 0 in T1 "):
        prepare_pair(0 * t1, t1_post, mask)


def test_a_pair_is_prepared_as_the_service_prepares_it():
    preprocessing = pytest.importorskip("worker.preprocessing")
    subtract = pytest.importorskip("worker.subtraction").subtract
    t1, t1_post, mask = a_pair((40, 41, 42))
    t1[:2] = np.nan
    t1_post[20, 20:30, 20:30] += 500
    brain = mask.copy()
    t1_post_kji, subtraction_kji = prepare_pair(t1, t1_post, mask)
    difference = subtract(t1_post, t1, brain, mask, correlation=0.9)
    np.testing.assert_array_equal(t1_post_kji, preprocessing._normalise(t1_post, mask))
    np.testing.assert_array_equal(
        subtraction_kji, preprocessing._normalise(difference, mask & np.isfinite(t1))
    )


def test_axes_are_turned_as_the_service_turns_them():
    axes = pytest.importorskip("worker.axes")
    voxels = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    np.testing.assert_array_equal(to_ras(voxels), axes.to_axes(voxels, ("R", "A", "S")))

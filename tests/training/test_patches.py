from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.toy_studies import TUBE, fill_toy_pool, make_toy_study
from training.patches import Kind, PatchSampler, augment, cut, lesion_weights
from training.pool import ListedStudy, list_pool
from training.prepared import MINED_FILE, PreparedStudy
from training.settings import (
    AugmentationSettings,
    LossSettings,
    MemberSpec,
    SamplingSettings,
    TrainingSettings,
)

MEMBER = MemberSpec("t1_post", "focal")
UNCHANGED = AugmentationSettings(0, 0, 0, 0, 0, 0)
SETTINGS = TrainingSettings(widths=(4, 8), patch_voxels=16, batch=4, patches=400)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    fill_toy_pool(folder, 4)
    return folder


def places(pool: Path, settings: TrainingSettings, count: int):
    sampler = PatchSampler(pool, MEMBER, settings)
    rng = np.random.default_rng(0)
    listing = list_pool(pool)
    return [sampler.place(number, listing, rng) for number in range(count)]


def has_lesion(pool: Path, place) -> bool:
    labels = PreparedStudy.open(pool / place.study.name).labels_ras
    return bool(cut(labels, place.start_ras, SETTINGS.patch_voxels).any())


def test_the_same_seed_member_and_step_give_the_same_batch(pool: Path):
    listing = list_pool(pool)
    one, other = (PatchSampler(pool, MEMBER, SETTINGS).batch(7, listing) for _ in range(2))
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.targets, other.targets)


@pytest.mark.parametrize(
    ("member", "seed", "step"),
    [(MEMBER, 0, 8), (MEMBER, 1, 7), (MemberSpec("t1_post", "soft_dice"), 0, 7)],
)
def test_another_seed_member_or_step_gives_another_batch(
    pool: Path, member: MemberSpec, seed: int, step: int
):
    listing = list_pool(pool)
    one = PatchSampler(pool, MEMBER, SETTINGS).batch(7, listing)
    other = PatchSampler(pool, member, replace(SETTINGS, seed=seed)).batch(step, listing)
    assert not np.array_equal(one.images, other.images)


def test_a_batch_has_the_shapes_and_values_the_network_trains_on(pool: Path):
    batch = PatchSampler(pool, MEMBER, SETTINGS).batch(0, list_pool(pool))
    for part in (batch.images, batch.targets, batch.weights):
        assert part.shape == (4, 1, 16, 16, 16)
        assert part.dtype == np.float32
    assert set(np.unique(batch.targets)) == {0, 1}
    assert (batch.weights[batch.targets == 0] == 1).all()


def test_half_of_the_patches_hold_a_lesion_and_half_hold_none(pool: Path):
    drawn = [(kind, has_lesion(pool, place)) for kind, place in places(pool, SETTINGS, 200)]
    assert all(lesion for kind, lesion in drawn if kind is Kind.LESION)
    assert not any(lesion for kind, lesion in drawn if kind is not Kind.LESION)
    assert sum(kind is Kind.LESION for kind, _ in drawn) == 100


def test_every_second_patch_of_a_batch_holds_a_lesion(pool: Path):
    batch = PatchSampler(pool, MEMBER, SETTINGS).batch(3, list_pool(pool))
    assert [bool(target.any()) for target in batch.targets] == [False, True, False, True]


def test_negative_patches_are_shared_between_structures_and_brain(pool: Path):
    settings = replace(
        SETTINGS, sampling=SamplingSettings(lesion_share=0, mined_share=0, structure_share=0.75)
    )
    kinds = Counter(kind for kind, _ in places(pool, settings, 400))
    assert kinds[Kind.STRUCTURE] / 400 == pytest.approx(0.75, abs=0.06)
    assert kinds[Kind.BRAIN] / 400 == pytest.approx(0.25, abs=0.06)


def test_a_patch_drawn_for_a_structure_holds_it(pool: Path):
    settings = replace(
        SETTINGS,
        sampling=SamplingSettings(
            lesion_share=0, mined_share=0, structure_share=1, structure_offset_voxels=6
        ),
    )
    for _, place in places(pool, settings, 20):
        structures = PreparedStudy.open(pool / place.study.name).structures_ras
        assert structures is not None
        assert (cut(structures, place.start_ras, 16) == TUBE).any()


def test_mined_false_positives_are_visited(tmp_path: Path):
    fill_toy_pool(tmp_path, 2)
    (tmp_path / "toy-01" / MINED_FILE).write_text(json.dumps({"centres_ras": [[8, 30, 18]], "missed": []}))
    settings = replace(SETTINGS, sampling=SamplingSettings(lesion_share=0, mined_share=1))
    drawn = places(tmp_path, settings, 10)
    assert {(kind, place.study.name) for kind, place in drawn} == {(Kind.MINED, "toy-01")}
    for _, place in drawn:
        assert (np.abs(place.start_ras + 8 - [8, 30, 18]) <= 8).all()


def test_a_pool_without_lesions_gives_patches_without(tmp_path: Path):
    fill_toy_pool(tmp_path, 2, lesions=0)
    batch = PatchSampler(tmp_path, MEMBER, SETTINGS).batch(0, list_pool(tmp_path))
    assert not batch.targets.any()


def test_small_lesions_are_chosen_more_often(tmp_path: Path):
    labels = np.zeros((40, 40, 40), np.uint16)
    labels[5:9, 5:9, 5:9] = 1
    labels[28:30, 28:30, 28:30] = 2
    bright = np.where(labels, 9, 1).astype(np.float32)
    PreparedStudy.from_kji(
        name="two", anatomy="a", seed=0, recipe="r",
        t1_post_kji=bright, subtraction_kji=bright, labels_kji=labels,
    ).write(tmp_path / "two")  # fmt: skip
    settings = replace(SETTINGS, sampling=SamplingSettings(lesion_share=1, small_lesion_exponent=1 / 3))
    studies = PreparedStudy.open(tmp_path / "two").labels_ras
    drawn = [cut(studies, place.start_ras, 16).max() for _, place in places(tmp_path, settings, 600)]
    # 64 and 8 mm3: twice the diameter, half the probability
    assert drawn.count(2) / drawn.count(1) == pytest.approx(2, rel=0.25)


def test_the_subtraction_members_see_the_subtraction(pool: Path):
    settings = replace(SETTINGS, augmentation=UNCHANGED)
    listing = (ListedStudy("toy-00"),)
    batch = PatchSampler(pool, MemberSpec("subtraction", "focal"), settings).batch(0, listing)
    volume = PreparedStudy.open(pool / "toy-00").subtraction_ras
    cubes = np.lib.stride_tricks.sliding_window_view(np.pad(volume, 8), (16, 16, 16))
    found = np.argwhere(cubes[..., 8, 8, 8] == batch.images[0, 0, 8, 8, 8].astype(np.float16))
    assert any(np.array_equal(cubes[tuple(at)], batch.images[0, 0].astype(np.float16)) for at in found)


def test_a_cube_reaching_beyond_the_volume_is_filled_with_0():
    volume = np.arange(1, 28).reshape(3, 3, 3)
    cube = cut(volume, np.array([-1, 1, 2]), 3)
    np.testing.assert_array_equal(cube[1:, :2, 0], volume[:2, 1:, 2])
    assert np.count_nonzero(cube) == 4


def test_mirroring_moves_image_and_target_together():
    image = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    settings = AugmentationSettings(1, 0, 1, 0, 0, 0)
    rng = np.random.default_rng(0)
    changed, target, weights = augment(image, image == 5, image, settings, rng)
    np.testing.assert_allclose(changed, image[::-1, :, ::-1])
    np.testing.assert_array_equal(target, changed == 5)
    np.testing.assert_array_equal(weights, changed)


def test_what_lies_outside_the_mask_stays_0():
    rng = np.random.default_rng(0)
    image = np.where(rng.random((16, 16, 16)) < 0.5, rng.standard_normal((16, 16, 16)), 0).astype(np.float32)
    settings = AugmentationSettings(0, 0, 0)
    changed, *_ = augment(image, image > 0, image, settings, rng)
    np.testing.assert_array_equal(changed == 0, image == 0)
    assert not np.allclose(changed, image)


def test_voxels_of_small_lesions_weigh_more_within_limits():
    settings = LossSettings(small_lesion_volume_mm3=100, small_lesion_weight_limit=5)
    weights = lesion_weights(np.array([1.0, 25.0, 100.0, 4000.0]), settings)
    np.testing.assert_allclose(weights, [5, 2, 1, 1])


def test_weights_lie_on_the_lesions(pool: Path):
    settings = replace(SETTINGS, augmentation=UNCHANGED, losses=LossSettings(small_lesion_volume_mm3=1000))
    batch = PatchSampler(pool, MEMBER, settings).batch(0, (ListedStudy("toy-00"),))
    volume_mm3 = make_toy_study("toy-00", 0).lesions[0].volume_mm3
    assert set(batch.weights[batch.targets == 1]) == {np.float32(np.sqrt(1000 / volume_mm3))}


def make_hidden_and_seen(folder: Path, seen: tuple[int, ...] = (2,)) -> None:
    """Two lesions of one size; of both inputs T1-post shows some of them, the subtraction shows all."""
    labels = np.zeros((40, 40, 40), np.uint16)
    labels[5:9, 5:9, 5:9] = 1
    labels[28:32, 28:32, 28:32] = 2
    noise = np.random.default_rng(1).standard_normal(labels.shape).astype(np.float32)
    PreparedStudy.from_kji(
        name=folder.name, anatomy="a", seed=0, recipe="r", labels_kji=labels,
        t1_post_kji=noise + 9 * np.isin(labels, seen), subtraction_kji=noise + 9 * (labels > 0),
    ).write(folder)  # fmt: skip


def lesions_drawn(pool: Path, member: MemberSpec, settings: TrainingSettings, count: int) -> Counter:
    sampler, rng, listing = PatchSampler(pool, member, settings), np.random.default_rng(0), list_pool(pool)
    drawn = [sampler.place(number, listing, rng)[1] for number in range(count)]
    volumes = {study.name: PreparedStudy.open(pool / study.name).labels_ras for study in listing}
    return Counter(
        (place.study.name, int(cut(volumes[place.study.name], place.start_ras, 16).max())) for place in drawn
    )


ALL_LESIONS = replace(SETTINGS, sampling=SamplingSettings(lesion_share=1, small_lesion_exponent=0))


def test_a_lesion_the_member_cannot_see_is_not_drawn(tmp_path: Path):
    make_hidden_and_seen(tmp_path / "one")
    assert set(lesions_drawn(tmp_path, MEMBER, ALL_LESIONS, 40)) == {("one", 2)}
    subtraction = MemberSpec("subtraction", "focal")
    assert set(lesions_drawn(tmp_path, subtraction, ALL_LESIONS, 40)) == {("one", 1), ("one", 2)}


def test_where_no_lesion_can_be_seen_the_hidden_ones_are_drawn(tmp_path: Path):
    make_hidden_and_seen(tmp_path / "one", seen=())
    assert set(lesions_drawn(tmp_path, MEMBER, ALL_LESIONS, 40)) == {("one", 1), ("one", 2)}


def test_hidden_lesions_weigh_nothing_by_default(tmp_path: Path):
    make_hidden_and_seen(tmp_path / "one", seen=())
    settings = replace(ALL_LESIONS, augmentation=UNCHANGED)
    batch = PatchSampler(tmp_path, MEMBER, settings).batch(0, list_pool(tmp_path))
    assert batch.targets.any()
    assert not batch.weights[batch.targets == 1].any()
    assert (batch.weights[batch.targets == 0] == 1).all()


def test_missed_lesions_are_drawn_more_often_within_a_study(tmp_path: Path):
    make_hidden_and_seen(tmp_path / "one", seen=(1, 2))
    (tmp_path / "one" / MINED_FILE).write_text(json.dumps({"centres_ras": [], "missed": [1]}))
    drawn = lesions_drawn(tmp_path, MEMBER, ALL_LESIONS, 600)
    assert drawn["one", 1] / drawn["one", 2] == pytest.approx(3, rel=0.25)


def test_missed_lesions_are_drawn_more_often_also_where_they_are_alone(tmp_path: Path):
    for name, seen in (("first", (1,)), ("second", (2,))):
        make_hidden_and_seen(tmp_path / name, seen)
    (tmp_path / "first" / MINED_FILE).write_text(json.dumps({"centres_ras": [], "missed": [1]}))
    drawn = lesions_drawn(tmp_path, MEMBER, ALL_LESIONS, 600)
    assert drawn["first", 1] / drawn["second", 2] == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_patients_have_their_share_among_many_synthetic_studies(tmp_path: Path, share: float):
    fill_toy_pool(tmp_path, 5)
    replace(make_toy_study("patient", 9), seed=None, structures_ras=None).write(tmp_path / "patient")
    settings = replace(SETTINGS, sampling=SamplingSettings(imported_share=share))
    drawn = [(kind is Kind.LESION, place.study.name) for kind, place in places(tmp_path, settings, 400)]
    assert sum(name == "patient" for _, name in drawn) / 400 == pytest.approx(share, abs=0.07)
    assert sum(lesion for lesion, _ in drawn) == 200

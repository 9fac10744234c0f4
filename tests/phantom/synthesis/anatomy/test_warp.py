"""Other heads from the same label map."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from core.errors import InvalidInput
from phantom.synthesis.anatomy.files import load_anatomies
from phantom.synthesis.anatomy.label_map import (
    BRAIN_TISSUES,
    Anatomy,
    bounding_box,
    brain_mask,
    canonical_grid,
    crop,
    crop_to_head,
    member_mask,
)
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.anatomy.warp import WarpSettings, draw_deformation, warp_anatomy

STILL = WarpSettings(
    rotation_deg=0, scale=(1, 1), shear=0, flip_share=0, broad_mm=0, fine_mm=0, brain_volume_l=(0.1, 9)
)
MARGIN_MM = 10.0


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def centre_lps_mm(anatomy: Anatomy, structure: Structure) -> np.ndarray:
    return anatomy.grid.to_lps_mm(ndimage.center_of_mass(anatomy.labels_kji == structure))


def test_a_warp_that_does_nothing_gives_the_head_back_in_place(ellipsoid_head: Anatomy) -> None:
    still = warp_anatomy(ellipsoid_head, STILL, rng())
    expected = crop_to_head(ellipsoid_head)

    assert still.grid.is_close_to(expected.grid)
    np.testing.assert_array_equal(still.labels_kji, expected.labels_kji)


def test_the_same_seed_gives_the_same_head_and_another_seed_another(ellipsoid_head: Anatomy) -> None:
    first, again, other = (warp_anatomy(ellipsoid_head, WarpSettings(), rng(s), MARGIN_MM) for s in (3, 3, 4))

    np.testing.assert_array_equal(first.labels_kji, again.labels_kji)
    assert first.grid.is_close_to(again.grid)
    assert not other.grid.is_close_to(first.grid)


@pytest.mark.parametrize("seed", range(4))
def test_the_crop_is_the_brain_with_its_margin_out_of_the_whole_head(
    ellipsoid_head: Anatomy, seed: int
) -> None:
    whole = warp_anatomy(ellipsoid_head, WarpSettings(), rng(seed))
    cropped = warp_anatomy(ellipsoid_head, WarpSettings(), rng(seed), MARGIN_MM)

    brain = bounding_box(brain_mask(cropped.labels_kji))
    for span, size in zip(brain, cropped.labels_kji.shape, strict=True):
        assert span.start >= MARGIN_MM
        assert size - span.stop >= MARGIN_MM
    assert cropped.brain_volume_l == whole.brain_volume_l
    start = np.rint(whole.grid.to_index_kji(cropped.grid.to_lps_mm([0, 0, 0]))).astype(int)
    assert (start >= 0).all()
    box = tuple(slice(s, s + n) for s, n in zip(start, cropped.labels_kji.shape, strict=True))
    np.testing.assert_array_equal(cropped.labels_kji, crop(whole, box).labels_kji)


@pytest.mark.parametrize("kept", [0.6, 1.2, 2.5])
def test_brains_too_small_or_too_large_are_scaled_into_the_range(
    ellipsoid_head: Anatomy, kept: float
) -> None:
    settings = replace(STILL, scale=(kept ** (1 / 3),) * 2, brain_volume_l=WarpSettings().brain_volume_l)
    wanted_l = np.clip(kept * ellipsoid_head.brain_volume_l, *settings.brain_volume_l)

    warped = warp_anatomy(ellipsoid_head, settings, rng(), MARGIN_MM)

    tissue = member_mask(warped.labels_kji, BRAIN_TISSUES)
    before = member_mask(ellipsoid_head.labels_kji, BRAIN_TISSUES)
    ratio = np.count_nonzero(tissue) / np.count_nonzero(before)
    assert ratio == pytest.approx(wanted_l / ellipsoid_head.brain_volume_l, rel=0.005)


@pytest.mark.parametrize("seed", range(6))
def test_brains_stay_plausible_after_the_elastic_fields(ellipsoid_head: Anatomy, seed: int) -> None:
    assert 1.0 < warp_anatomy(ellipsoid_head, WarpSettings(), rng(seed), MARGIN_MM).brain_volume_l < 1.9


def test_mirroring_takes_the_left_eye_to_the_right(ellipsoid_head: Anatomy) -> None:
    settings = replace(STILL, flip_share=1)

    mirrored = warp_anatomy(ellipsoid_head, settings, rng())

    centre = ellipsoid_head.grid.to_lps_mm(np.array(ellipsoid_head.labels_kji.shape) // 2)
    before = centre_lps_mm(ellipsoid_head, Structure.EYE) - centre
    after = centre_lps_mm(mirrored, Structure.EYE) - centre
    np.testing.assert_allclose(after, before * [-1, 1, 1], atol=0.05)
    assert before[0] > 20


def test_a_share_of_the_heads_is_mirrored(ellipsoid_head: Anatomy) -> None:
    settings = replace(STILL, flip_share=0.25)
    mirrored = [
        np.linalg.det(draw_deformation(ellipsoid_head, settings, rng(seed)).matrix) < 0 for seed in range(200)
    ]

    assert 30 < sum(mirrored) < 70


def test_the_head_turns_no_further_than_allowed_about_each_axis(ellipsoid_head: Anatomy) -> None:
    settings = replace(STILL, rotation_deg=15)
    matrices = [draw_deformation(ellipsoid_head, settings, rng(seed)).matrix for seed in range(60)]
    turns_deg = [np.rad2deg(np.arccos((np.trace(m) - 1) / 2)) for m in matrices]

    assert max(turns_deg) < np.sqrt(3) * 15 + 1
    assert np.median(turns_deg) > 8
    for matrix in matrices:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_elastic_fields_bend_the_head_without_tearing_it(ellipsoid_head: Anatomy, seed: int) -> None:
    settings = replace(STILL, broad_mm=6.0, fine_mm=2.5)

    warped = warp_anatomy(ellipsoid_head, settings, rng(seed), MARGIN_MM)

    for structure in (Structure.LATERAL_VENTRICLE, Structure.BRAINSTEM, Structure.CORTICAL_BONE):
        mask = warped.labels_kji == structure
        _, parts = ndimage.label(mask, structure=np.ones((3, 3, 3)))
        assert parts == 1, structure.name


def test_lobes_move_by_millimetres_and_no_more_than_the_control_points(ellipsoid_head: Anatomy) -> None:
    settings = replace(STILL, broad_mm=6.0, fine_mm=2.5)
    before = centre_lps_mm(ellipsoid_head, Structure.EYE)
    moved_mm = [
        np.abs(centre_lps_mm(warp_anatomy(ellipsoid_head, settings, rng(s)), Structure.EYE) - before).max()
        for s in range(4)
    ]

    assert max(moved_mm) < 8.5
    assert max(moved_mm) > 0.5


def test_what_lies_beyond_the_map_is_air() -> None:
    labels = np.full((30, 30, 30), Structure.WHITE_MATTER, dtype=np.uint8)
    head = Anatomy("block", labels, canonical_grid(labels.shape, np.zeros(3)))

    warped = warp_anatomy(head, replace(STILL, brain_volume_l=(0, 9)), rng(), MARGIN_MM)

    assert np.count_nonzero(warped.labels_kji) == labels.size
    assert warped.labels_kji[0].max() == Structure.AIR


def test_a_head_without_brain_is_refused() -> None:
    labels = np.full((10, 10, 10), Structure.SKIN, dtype=np.uint8)
    head = Anatomy("skin", labels, canonical_grid(labels.shape, np.zeros(3)))

    with pytest.raises(InvalidInput, match="'skin' has no brain"):
        warp_anatomy(head, WarpSettings(), rng())


def test_settings_survive_json() -> None:
    stored = json.loads(json.dumps(asdict(WarpSettings())))
    read = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}

    assert WarpSettings(**read) == WarpSettings()


def test_the_template_can_be_warped(template: Anatomy) -> None:
    warped = warp_anatomy(template, WarpSettings(), rng(5), MARGIN_MM)

    assert 1.0 < warped.brain_volume_l < 1.9
    missing = set(np.unique(template.labels_kji[brain_mask(template.labels_kji)])) - set(
        np.unique(warped.labels_kji)
    )
    assert not missing


def test_real_heads_stay_plausible(anatomy_folder: Path) -> None:
    for number, head in enumerate(load_anatomies(anatomy_folder)):
        warped = warp_anatomy(head, WarpSettings(), rng(number), MARGIN_MM)
        assert 1.0 < warped.brain_volume_l < 1.9, head.name

"""A whole synthetic study: the same seed gives the same bits, and truth and images agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.lesions.metastases import MetastasisSettings
from phantom.synthesis.study import (
    TRAINING_MARGIN_MM,
    SynthesisSettings,
    SyntheticStudy,
    build_scene,
    synthesize,
)

MANY_SIZES = replace(
    MetastasisSettings(),
    empty_share=0.0,
    log_uniform_share=1.0,
    log_uniform_diameter_mm=(4.0, 20.0),
    oedema_shares=((0.0, 1.0),),
    ring_shares=(),
)
"""Some lesion of every study is larger than 100 mm3, and all have oedema."""

SETTINGS = SynthesisSettings(metastases=MANY_SIZES)


@pytest.fixture(scope="module")
def study(ellipsoid_head: Anatomy) -> SyntheticStudy:
    return synthesize(ellipsoid_head, 5, SETTINGS)


def test_the_same_seed_gives_the_same_study(ellipsoid_head: Anatomy, study: SyntheticStudy) -> None:
    again = synthesize(ellipsoid_head, 5, SETTINGS)

    assert np.array_equal(again.t1_kji, study.t1_kji)
    assert np.array_equal(again.t1_post_kji, study.t1_post_kji)
    assert np.array_equal(again.labels_kji, study.labels_kji)
    assert np.array_equal(again.mask_kji, study.mask_kji)


def test_another_seed_gives_another_study(ellipsoid_head: Anatomy, study: SyntheticStudy) -> None:
    other = synthesize(ellipsoid_head, 6, SETTINGS)

    assert other.t1_kji.shape != study.t1_kji.shape or not np.array_equal(other.t1_kji, study.t1_kji)


def test_every_metastasis_is_labelled_with_its_number(study: SyntheticStudy) -> None:
    assert study.metastases
    assert set(np.unique(study.labels_kji)) == {0, *(m.number for m in study.metastases)}


def test_a_lesion_has_about_the_volume_it_was_drawn_with(study: SyntheticStudy) -> None:
    large = [m for m in study.metastases if m.volume_mm3 > 100]  # at 1 mm, smaller ones are a few voxels

    assert large
    for metastasis in large:
        painted_mm3 = np.count_nonzero(study.labels_kji == metastasis.number)
        assert painted_mm3 == pytest.approx(metastasis.volume_mm3, rel=0.25)


def test_nothing_of_a_study_without_lesions_is_labelled(ellipsoid_head: Anatomy) -> None:
    settings = replace(SETTINGS, metastases=replace(SETTINGS.metastases, empty_share=1.0))

    study = synthesize(ellipsoid_head, 7, settings)

    assert study.metastases == ()
    assert not study.labels_kji.any()


def test_structures_that_enhance_are_brighter_after_contrast(study: SyntheticStudy) -> None:
    veins = np.isin(study.structures_kji, (Enhancing.SINUS, Enhancing.VEIN, Enhancing.ARTERY))
    brain = study.mask_kji & (study.structures_kji == Enhancing.NONE) & (study.labels_kji == 0)
    gain = np.median(study.t1_post_kji[brain]) / np.median(study.t1_kji[brain])

    uptake = study.t1_post_kji - gain * study.t1_kji

    assert np.count_nonzero(veins) > 500
    assert np.median(uptake[veins]) > np.percentile(uptake[brain], 75)


def test_vessels_run_through_oedema(ellipsoid_head: Anatomy) -> None:
    without = replace(SETTINGS, metastases=replace(MANY_SIZES, oedema_shares=((0.0, 0.0),)))
    oedematous, plain = (
        build_scene(ellipsoid_head, 5, settings, TRAINING_MARGIN_MM) for settings in (SETTINGS, without)
    )
    change = oedematous.t1_post_kji - plain.t1_post_kji
    white = oedematous.anatomy.labels_kji == Structure.WHITE_MATTER
    blood = np.isin(plain.structures_kji, (Enhancing.VEIN, Enhancing.DOT_MIMIC)) & white
    around = white & (ndimage.maximum_filter(blood, 5)) & (plain.structures_kji == Enhancing.NONE)
    oedema = ndimage.minimum_filter(change, 5) < -0.1

    assert np.count_nonzero(blood & oedema) > 20
    assert change[blood & oedema].mean() > 0.6 * change[around & oedema].mean()


def test_the_mask_covers_the_lesions_but_for_single_voxels(study: SyntheticStudy) -> None:
    inside = study.mask_kji[study.labels_kji > 0]

    assert inside.mean() > 0.95

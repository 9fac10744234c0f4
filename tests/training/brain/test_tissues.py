from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phantom.synthesis.anatomy.structures import Structure
from training.brain.anatomy import LABELS, SCALP_FAT
from training.brain.tissues import TissueSettings, draw_tissues

CERTAIN = TissueSettings(
    t1_order_share=1, brain_jitter=0, outer_jitter=0, enhanced_share=0, fat_suppressed_share=0
)


@pytest.mark.parametrize("settings", [TissueSettings(), replace(TissueSettings(), t1_order_share=0)])
def test_every_tissue_has_a_signal_and_air_has_none(settings):
    tissues = draw_tissues(settings, np.random.default_rng(1))
    assert tissues.means.shape == tissues.noises.shape == (LABELS,)
    assert tissues.means[Structure.AIR] == tissues.noises[Structure.AIR] == 0
    assert (tissues.means >= 0).all()


def test_white_matter_outshines_cortex_and_fluid_in_t1_order():
    for seed in range(10):
        means = draw_tissues(CERTAIN, np.random.default_rng(seed)).means
        assert means[Structure.WHITE_MATTER] > means[Structure.CORTEX] > means[Structure.CSF]


def test_contrast_medium_brightens_the_sinuses_and_leaves_white_matter():
    enhanced = [
        draw_tissues(replace(CERTAIN, enhanced_share=1), np.random.default_rng(s)).means for s in range(20)
    ]
    plain = draw_tissues(CERTAIN, np.random.default_rng(0)).means
    assert np.mean([means[Structure.SINUS] for means in enhanced]) > 1.5 * plain[Structure.SINUS]
    assert {float(means[Structure.WHITE_MATTER]) for means in enhanced} == {1.0}


def test_suppressed_fat_is_dark():
    suppressed = replace(CERTAIN, fat_suppressed_share=1, fat_suppression_range=(0.1, 0.1))
    fat = draw_tissues(suppressed, np.random.default_rng(3)).means[SCALP_FAT]
    assert fat == pytest.approx(0.1 * draw_tissues(CERTAIN, np.random.default_rng(3)).means[SCALP_FAT])


def test_without_order_cortex_may_outshine_white_matter():
    settings = replace(TissueSettings(), t1_order_share=0)
    draws = [draw_tissues(settings, np.random.default_rng(seed)).means for seed in range(20)]
    assert {bool(m[Structure.CORTEX] > m[Structure.WHITE_MATTER]) for m in draws} == {True, False}

from dataclasses import replace

import numpy as np
import pytest

from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.signals.bloch import Protocol, Sequence
from phantom.synthesis.signals.protocols import RandomContrast
from phantom.synthesis.signals.rendering import SignalModel, SignalSettings, draw_signal_model, render
from phantom.synthesis.signals.tissues import BLOOD, TISSUES, t1_ms_at

MPRAGE_3T = Protocol(Sequence.MPRAGE, 2300.0, 9.0, 900.0, 8.0, 176)
MPRAGE_1T5 = Protocol(Sequence.MPRAGE, 2000.0, 12.0, 1000.0, 7.0, 160)
SPGR_3T = Protocol(Sequence.SPGR, 8.0, 12.0)
SE_3T = Protocol(Sequence.SE, 600.0)
STILL = SignalSettings(hypointensity_share=0, sinus_void_share=0, bright_share=0, bright_pallidum_share=0)
"""No lesion of white matter, no flow, nothing bright before contrast."""


def model_of(protocol: Protocol, field_t: float) -> SignalModel:
    t1_ms = tuple(t1_ms_at(TISSUES[structure], field_t) for structure in Structure)
    density = tuple(TISSUES[structure].proton_density for structure in Structure)
    return SignalModel(protocol, protocol, field_t, 1.0, 1.0, t1_ms, density)


def random_models(count: int = 40) -> list[SignalModel]:
    settings = SignalSettings(mprage_share=0, spgr_share=0, se_share=0)
    return [draw_signal_model(settings, np.random.default_rng(seed)) for seed in range(count)]


def layered_head(size: int = 48) -> np.ndarray:
    """White matter about a ventricle, under cortex, CSF, bone and skin, with a sinus and soft tissue."""
    axes = np.indices((size,) * 3) - (size - 1) / 2
    radius = np.sqrt((axes**2).sum(axis=0)) * 48 / size
    labels = np.full(radius.shape, Structure.AIR, np.uint8)
    for limit, structure in (
        (23, Structure.SKIN), (21, Structure.CORTICAL_BONE), (19, Structure.CSF), (17, Structure.CORTEX),
        (13, Structure.WHITE_MATTER), (4, Structure.LATERAL_VENTRICLE),
    ):  # fmt: skip
        labels[radius < limit] = structure
    labels[:, -6:, size // 2 - 2 : size // 2 + 2] = Structure.SINUS
    return labels


@pytest.mark.parametrize(
    ("protocol", "field_t", "t1_ms", "gd_mmol_l", "expected"),
    [
        (MPRAGE_3T, 3.0, 1380, 0.03, (0.59, 0.70)),
        (SPGR_3T, 3.0, 1380, 0.03, (0.69, 0.78)),
        (SE_3T, 3.0, 1380, 0.03, (0.69, 0.78)),
        (MPRAGE_3T, 3.0, 1700, 0.75, (0.45, 2.20)),
        (SPGR_3T, 3.0, 1700, 0.75, (0.57, 1.92)),
        (SE_3T, 3.0, 1700, 0.75, (0.57, 1.76)),
        (MPRAGE_3T, 3.0, 1500, 0.25, (0.54, 1.40)),
        (SPGR_3T, 3.0, 1500, 0.25, (0.65, 1.28)),
        (SPGR_3T, 3.0, 4300, 0.0, (0.26, 0.26)),
        (SE_3T, 3.0, 4300, 0.0, (0.26, 0.26)),
        (MPRAGE_1T5, 1.5, 1480, 0.75, (0.45, 1.80)),
        (MPRAGE_1T5, 1.5, 1250, 0.25, (0.55, 1.19)),
    ],
    ids=lambda value: getattr(value, "sequence", None),
)
def test_signals_agree_with_published_steady_states(protocol, field_t, t1_ms, gd_mmol_l, expected):
    assert model_of(protocol, field_t).signals(float(t1_ms), gd_mmol_l) == pytest.approx(expected, rel=0.12)


def test_the_closed_form_of_the_mprage_is_the_limit_of_its_pulses():
    t1_ms, flip, m = 1100.0, np.deg2rad(MPRAGE_3T.flip_deg), 1.0

    def recover(m: float, time_ms: float) -> float:
        return 1 + (m - 1) * np.exp(-time_ms / t1_ms)

    half = MPRAGE_3T.pulses // 2
    for _ in range(30):
        m = recover(-m, MPRAGE_3T.ti_ms - half * MPRAGE_3T.echo_spacing_ms)
        for pulse in range(MPRAGE_3T.pulses):
            if pulse == half:
                centre = m * np.sin(flip)
            m = recover(m * np.cos(flip), MPRAGE_3T.echo_spacing_ms)
        rest_ms = MPRAGE_3T.tr_ms - MPRAGE_3T.ti_ms - half * MPRAGE_3T.echo_spacing_ms
        m = recover(m, rest_ms)
    assert float(MPRAGE_3T.signal(np.array(t1_ms))) == pytest.approx(abs(centre), rel=1e-6)


def test_a_weakly_enhancing_metastasis_is_darker_than_white_matter_but_gains_signal():
    pre, post = model_of(MPRAGE_3T, 3.0).signals(1500.0, 0.1)
    assert post < 1.0
    assert post - pre > 0.3


def test_blood_is_brighter_than_most_metastases():
    model = model_of(MPRAGE_3T, 3.0)
    assert model.signals(BLOOD.t1_ms[1], BLOOD.gd_mmol_l)[1] > model.signals(1500.0, 0.5)[1]


def test_white_matter_without_contrast_is_one_in_every_model():
    for seed in range(40):
        model = draw_signal_model(SignalSettings(), np.random.default_rng(seed))
        assert model.signals(model.t1_ms[Structure.WHITE_MATTER], 0.0) == pytest.approx((1.0, 1.0))


def test_the_dose_of_the_study_scales_every_concentration():
    model = model_of(SPGR_3T, 3.0)
    assert replace(model, gd_scale=0.5).signals(1200.0, 0.4) == pytest.approx(model.signals(1200.0, 0.2))


def test_more_gadolinium_is_brighter_even_under_a_random_contrast():
    gd = np.linspace(0, 1.5, 31)
    for model in random_models():
        assert isinstance(model.pre, RandomContrast)
        assert (np.diff(model.signals(1400.0, gd)[1]) > 0).all()


def test_random_contrasts_do_not_keep_the_order_of_the_tissues():
    darker = [model.signals(model.t1_ms[Structure.CORTEX], 0.0)[0] < 1 for model in random_models(80)]
    assert 0.5 < np.mean(darker) < 0.98


def test_arrays_and_numbers_have_the_same_signals():
    model = model_of(MPRAGE_3T, 3.0)
    t1_ms = np.array([[400.0, 900.0], [1500.0, 3000.0]], np.float32)
    pre, post = model.signals(t1_ms, 0.2, 1.1)
    assert (pre.dtype, pre.shape, post.shape) == (np.float32, (2, 2), (2, 2))
    assert (pre[1, 0], post[1, 0]) == pytest.approx(model.signals(1500.0, 0.2, 1.1), rel=1e-5)


def test_sequences_come_in_their_shares():
    models = [draw_signal_model(SignalSettings(), np.random.default_rng(seed)) for seed in range(600)]
    kinds = [getattr(model.pre, "sequence", None) for model in models]
    expected = {Sequence.MPRAGE: 0.45, Sequence.SPGR: 0.3, Sequence.SE: 0.15, None: 0.1}
    for kind, share in expected.items():
        assert kinds.count(kind) / len(kinds) == pytest.approx(share, abs=0.06)
    assert np.mean([model.pre != model.post for model in models]) == pytest.approx(0.15, abs=0.04)


def test_every_protocol_drawn_has_time_for_its_readout():
    for seed in range(200):
        model = draw_signal_model(SignalSettings(), np.random.default_rng(seed))
        signals = np.stack(model.signals(np.geomspace(150, 5000, 40), 0.0))
        assert np.isfinite(signals).all()
        assert (signals >= 0).all()


def test_the_same_seed_renders_the_same_bits():
    first, second = (
        render(
            layered_head(), model_of(SPGR_3T, 3.0), SignalSettings(bright_share=1), np.random.default_rng(3)
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.t1_kji, second.t1_kji)
    np.testing.assert_array_equal(first.t1_post_kji, second.t1_post_kji)
    np.testing.assert_array_equal(first.bright_kji, second.bright_kji)


@pytest.mark.parametrize("protocol", [MPRAGE_3T, SPGR_3T, SE_3T], ids=lambda protocol: protocol.sequence)
def test_tissues_are_rendered_about_their_signals(protocol):
    labels, model = layered_head(), model_of(protocol, 3.0)
    rendered = render(labels, model, replace(STILL, slow_variation=(0, 0)), np.random.default_rng(0))
    for structure in (Structure.WHITE_MATTER, Structure.CORTEX, Structure.SINUS):
        tissue = TISSUES[structure]
        expected = model.signals(t1_ms_at(tissue, 3.0), tissue.gd_mmol_l, tissue.proton_density)
        medians = [np.median(image[labels == structure]) for image in (rendered.t1_kji, rendered.t1_post_kji)]
        assert medians == pytest.approx(expected, rel=0.15)


def test_blood_and_skin_enhance_and_the_ventricles_do_not():
    labels = layered_head()
    rendered = render(labels, model_of(SPGR_3T, 3.0), STILL, np.random.default_rng(0))
    gain = rendered.t1_post_kji - rendered.t1_kji
    medians = {name: np.median(gain[labels == name]) for name in np.unique(labels)}
    assert medians[Structure.SINUS] > 0.8
    assert medians[Structure.SKIN] > 0.03
    assert abs(medians[Structure.LATERAL_VENTRICLE]) < 0.02
    assert 0.01 < medians[Structure.WHITE_MATTER] < medians[Structure.CORTEX] < 0.2


def test_tissue_is_not_flat_and_its_texture_is_the_same_in_both_images():
    labels = layered_head()
    white = labels == Structure.WHITE_MATTER
    rendered = render(labels, model_of(SE_3T, 3.0), STILL, np.random.default_rng(1))
    assert 0.008 < rendered.t1_kji[white].std() / rendered.t1_kji[white].mean() < 0.1
    assert np.corrcoef(rendered.t1_kji[white], rendered.t1_post_kji[white])[0, 1] > 0.9


def test_bright_spots_are_bright_without_contrast_and_do_not_enhance():
    settings = replace(STILL, bright_share=1.0, bright_diameter_mm=(5.0, 8.0))
    rendered = render(layered_head(), model_of(MPRAGE_3T, 3.0), settings, np.random.default_rng(2))
    bright = rendered.bright_kji
    assert bright.sum() > 20
    assert np.median(rendered.t1_kji[bright]) > 1.25
    np.testing.assert_allclose(rendered.t1_post_kji[bright], rendered.t1_kji[bright], atol=0.15)


def test_most_studies_have_no_bright_spot():
    assert not render(
        layered_head(), model_of(MPRAGE_3T, 3.0), STILL, np.random.default_rng(2)
    ).bright_kji.any()


def test_hypointense_white_matter_lies_about_the_ventricles():
    labels, model = layered_head(96), model_of(MPRAGE_3T, 3.0)
    settings = replace(
        STILL, hypointensity_depth=(0.4, 0.4), periventricular_reach_mm=(5.0, 5.0), patch_fraction=0.0
    )
    healthy = render(labels, model, settings, np.random.default_rng(4)).t1_kji
    diseased = render(
        labels, model, replace(settings, hypointensity_share=1.0), np.random.default_rng(4)
    ).t1_kji
    radius = np.sqrt(((np.indices(labels.shape) - 47.5) ** 2).sum(axis=0))
    rim, deep = (radius > 10) & (radius < 11), (radius > 21) & (radius < 24)
    assert np.median(diseased[rim]) < 0.75 * np.median(healthy[rim])
    assert np.median(diseased[deep]) > 0.95 * np.median(healthy[deep])


def test_a_brain_without_white_matter_or_ventricles_is_rendered_too():
    labels = np.full((12, 14, 16), Structure.CORTEX, np.uint8)
    settings = SignalSettings(hypointensity_share=1, bright_share=1)
    rendered = render(labels, model_of(SE_3T, 3.0), settings, np.random.default_rng(0))
    assert np.isfinite(rendered.t1_post_kji).all()

"""What enhances without being a lesion lies where anatomy has it, in every pose."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from phantom.fields import Points
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.anatomy.warp import WarpSettings, warp_anatomy
from phantom.synthesis.contrast.growth import ContrastLayer, ContrastSettings, grow_contrast
from phantom.synthesis.contrast.head_frame import fit_head_frame
from phantom.synthesis.signals.rendering import SignalModel, SignalSettings, draw_signal_model

ALWAYS = ContrastSettings(
    plexus_share=1.0, pituitary_share=1.0, pineal_share=1.0, cavernous_share=1.0, venous_anomaly_share=1.0,
    flow_void_share=0.0, granulations=(0, 0), transmedullary_veins=(5, 6),
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> SignalModel:
    gradient_echo = SignalSettings(mprage_share=1.0, spgr_share=0.0, se_share=0.0, other_sequence_share=0.0)
    return draw_signal_model(gradient_echo, np.random.default_rng(0))


@pytest.fixture(scope="module")
def head(template: Anatomy) -> Anatomy:
    return warp_anatomy(template, WarpSettings(), np.random.default_rng(3), margin_mm=14.0)


@pytest.fixture(scope="module")
def bare(head: Anatomy) -> Anatomy:
    """The same head from a label map that knows neither sinuses nor carotids."""
    labels = head.labels_kji.copy()
    labels[np.isin(labels, [Structure.SINUS, Structure.CAROTID])] = Structure.CSF
    return Anatomy("bare", labels, head.grid)


@pytest.fixture(scope="module")
def layers(bare: Anatomy, model: SignalModel) -> tuple[ContrastLayer, ...]:
    return grow_contrast(bare, model, ALWAYS, np.random.default_rng(7))


def volume_ml(layers: tuple[ContrastLayer, ...], structure: Enhancing) -> float:
    return float(sum(layer.fraction.sum() for layer in layers if layer.structure is structure)) / 1000


def filled(layers: tuple[ContrastLayer, ...], structure: Enhancing) -> np.ndarray:
    """Indices of the voxels a structure fills by half."""
    return np.concatenate(
        [
            np.argwhere(layer.fraction > 0.5) + [s.start for s in layer.box]
            for layer in layers
            if layer.structure is structure
        ]
    )


def in_standard_mm(head: Anatomy, voxels: np.ndarray) -> Points:
    return fit_head_frame(head.labels_kji).to_standard(voxels.astype(np.float64))


def test_every_kind_is_there_in_a_plausible_amount(layers: tuple[ContrastLayer, ...]) -> None:
    bounds_ml = {
        Enhancing.SINUS: (4, 50), Enhancing.CAVERNOUS_SINUS: (0.1, 5), Enhancing.VEIN: (1, 20),
        Enhancing.ARTERY: (1, 12), Enhancing.DURA: (3, 120), Enhancing.CHOROID_PLEXUS: (0.1, 6),
        Enhancing.PITUITARY: (0.1, 1.5), Enhancing.PINEAL: (0.01, 0.8), Enhancing.DOT_MIMIC: (0.005, 1),
        Enhancing.VENOUS_ANOMALY: (0.01, 1),
    }  # fmt: skip

    for structure, (least, greatest) in bounds_ml.items():
        assert least < volume_ml(layers, structure) < greatest, structure.name


def test_layers_are_shares_of_voxels_within_the_head(
    bare: Anatomy, layers: tuple[ContrastLayer, ...]
) -> None:
    for layer in layers:
        assert layer.fraction.dtype == np.float32
        assert layer.fraction.shape == bare.labels_kji[layer.box].shape
        assert 0 <= layer.fraction.min() <= layer.fraction.max() <= 1
        assert layer.fraction.any()


def test_everything_is_brighter_after_contrast(layers: tuple[ContrastLayer, ...]) -> None:
    for layer in layers:
        assert np.all(np.asarray(layer.t1_post) > np.asarray(layer.t1))


def test_the_same_seed_gives_the_same_layers(
    bare: Anatomy, model: SignalModel, layers: tuple[ContrastLayer, ...]
) -> None:
    again = grow_contrast(bare, model, ALWAYS, np.random.default_rng(7))

    assert [layer.structure for layer in again] == [layer.structure for layer in layers]
    for one, other in zip(again, layers, strict=True):
        assert one.box == other.box
        assert np.array_equal(one.fraction, other.fraction)
        assert np.array_equal(one.t1_post, other.t1_post)


def test_sinuses_meet_in_a_confluence_at_the_back(bare: Anatomy, layers: tuple[ContrastLayer, ...]) -> None:
    up, back, left = in_standard_mm(bare, filled(layers, Enhancing.SINUS)).T
    confluence = (np.abs(left) < 12) & (back > 80) & (np.abs(up + 10) < 20)
    vertex = (np.abs(left) < 8) & (up > 60)
    transverse = (np.abs(left) > 30) & (back > 50) & (np.abs(up + 12) < 20)

    assert confluence.sum() > 300
    assert vertex.sum() > 200
    assert transverse.sum() > 150


def test_labelled_sinuses_are_part_of_the_layer(head: Anatomy, model: SignalModel) -> None:
    layers = grow_contrast(head, model, ALWAYS, np.random.default_rng(7))
    sinus = next(layer for layer in layers if layer.structure is Enhancing.SINUS)
    painted = np.zeros(head.labels_kji.shape, dtype=np.float32)
    painted[sinus.box] = sinus.fraction

    assert painted[head.labels_kji == Structure.SINUS].mean() > 0.8


def test_partial_flow_void_darkens_sinuses_in_places(bare: Anatomy, model: SignalModel) -> None:
    settings = replace(ALWAYS, flow_void_share=1.0)

    layers = grow_contrast(bare, model, settings, np.random.default_rng(7))

    sinus = next(layer for layer in layers if layer.structure is Enhancing.SINUS)
    signal = np.asarray(sinus.t1_post)[sinus.fraction > 0.5]
    assert np.percentile(signal, 5) < 0.6 * np.percentile(signal, 99)


def test_granulations_show_csf_within_labelled_sinuses(head: Anatomy, model: SignalModel) -> None:
    settings = replace(ALWAYS, granulations=(12, 12), granulation_radius_mm=(3.0, 3.5))

    layers = grow_contrast(head, model, settings, np.random.default_rng(7))

    sinus = next(layer for layer in layers if layer.structure is Enhancing.SINUS)
    labelled = (head.labels_kji[sinus.box] == Structure.SINUS) & (sinus.fraction > 0.9)
    before, after = (np.asarray(signal)[labelled] for signal in (sinus.t1, sinus.t1_post))
    csf = model.signals(4000.0, 0.0, 1.1)
    holes = after < 1.5 * csf[1]
    assert 150 < np.count_nonzero(holes) < 0.5 * holes.size
    assert np.median(after[holes] - before[holes]) < 0.1 * np.median(after - before)


def test_choroid_plexus_lies_in_and_about_the_ventricles(
    bare: Anatomy, layers: tuple[ContrastLayer, ...]
) -> None:
    plexus = filled(layers, Enhancing.CHOROID_PLEXUS)
    labels = bare.labels_kji[tuple(plexus.T)]
    in_white_matter = np.isin(labels, [Structure.WHITE_MATTER, Structure.CORTEX]).mean()

    assert in_white_matter < 0.2


def test_membranes_spare_the_brain_s_depths(bare: Anatomy, layers: tuple[ContrastLayer, ...]) -> None:
    labels = bare.labels_kji[tuple(filled(layers, Enhancing.DURA).T)]

    assert not np.isin(labels, [Structure.WHITE_MATTER, Structure.BRAINSTEM, Structure.THALAMUS]).any()


def test_dot_mimics_are_joined_to_the_csf(bare: Anatomy, model: SignalModel) -> None:
    settings = replace(ALWAYS, dot_mimics=(8, 8), many_dots_share=0.0)

    layers = grow_contrast(bare, model, settings, np.random.default_rng(1))

    (dots,) = (layer for layer in layers if layer.structure is Enhancing.DOT_MIMIC)
    csf = bare.labels_kji[dots.box] == Structure.CSF
    assert dots.fraction[csf].sum() > 0.1 * dots.fraction.sum()
    assert dots.fraction[~csf].sum() > 0.2 * dots.fraction.sum()


def test_inflow_brightens_arteries_before_contrast(bare: Anatomy, model: SignalModel) -> None:
    still = grow_contrast(bare, model, replace(ALWAYS, inflow_share=0.0), np.random.default_rng(2))
    fresh = grow_contrast(bare, model, replace(ALWAYS, inflow_share=1.0), np.random.default_rng(2))

    artery = [
        next(layer for layer in found if layer.structure is Enhancing.ARTERY) for found in (still, fresh)
    ]
    assert np.mean(artery[1].t1) > 1.2 * np.mean(artery[0].t1)


def artery_signals(layers: tuple[ContrastLayer, ...]) -> tuple[float, float]:
    artery = next(layer for layer in layers if layer.structure is Enhancing.ARTERY)
    return float(np.mean(artery.t1)), float(np.mean(artery.t1_post))


@pytest.mark.parametrize("void_after", [0.0, 1.0])
def test_arteries_are_flow_voids_in_a_spin_echo(bare: Anatomy, void_after: float) -> None:
    settings = SignalSettings(mprage_share=0.0, spgr_share=0.0, se_share=1.0, other_sequence_share=0.0)
    spin_echo = draw_signal_model(settings, np.random.default_rng(0))
    flowing = replace(ALWAYS, inflow_share=1.0, arterial_void_shares=(1.0, void_after))
    still = replace(ALWAYS, inflow_share=1.0, arterial_void_shares=(0.0, 0.0))

    voids = artery_signals(grow_contrast(bare, spin_echo, flowing, np.random.default_rng(2)))
    bloods = artery_signals(grow_contrast(bare, spin_echo, still, np.random.default_rng(2)))

    assert bloods[0] < 1  # no inflow: blood at rest is darker than white matter
    assert voids[0] < 0.5 * bloods[0]
    assert (voids[1] < 0.5 * bloods[1]) == bool(void_after)


def test_a_head_with_few_labels_still_gets_its_sinuses(ellipsoid_head: Anatomy, model: SignalModel) -> None:
    layers = grow_contrast(ellipsoid_head, model, ContrastSettings(), np.random.default_rng(0))

    assert Enhancing.SINUS in {layer.structure for layer in layers}


def test_settings_survive_json() -> None:
    stored = json.loads(json.dumps(asdict(ContrastSettings(branches=0.25))))
    read = ContrastSettings(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})

    assert read == ContrastSettings(branches=0.25)

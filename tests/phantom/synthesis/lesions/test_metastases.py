import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import spatial

from core.errors import InvalidInput
from phantom.star import even_directions
from phantom.synthesis.anatomy.label_map import Anatomy, bounding_box, brain_mask, canonical_grid
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.lesions.metastases import (
    MetastasisKind,
    MetastasisLocation,
    MetastasisSettings,
    draw_count,
    draw_metastases,
    draw_volumes_mm3,
)
from phantom.synthesis.lesions.painting import paint_metastases

MANY = MetastasisSettings(empty_share=0.0, count_dispersion=1000.0, count_mean=30.0, touching_share=0.0)
PUBLISHED = MetastasisSettings(log_uniform_share=0.0)


class InversionRecovery:
    """A rough MPRAGE: enough for lesions to be darker before contrast and brighter after."""

    def signals(self, t1_ms, gd_mmol_l, proton_density=1.0):
        return self._signal(t1_ms, 0.0), self._signal(t1_ms, gd_mmol_l)

    def _signal(self, t1_ms, gd_mmol_l):
        rate_per_s = 1000 / t1_ms + 4.0 * gd_mmol_l
        return abs(1 - 2 * np.exp(-0.95 * rate_per_s) + np.exp(-2.3 * rate_per_s)) / 0.5


@pytest.fixture(scope="module")
def head(ellipsoid_head) -> Anatomy:
    """A brain of 0.17 L, half as long as the ellipsoid head's, with a cerebellum in its lowest quarter."""
    labels = ellipsoid_head.labels_kji[::2, ::2, ::2]
    labels = labels[bounding_box(brain_mask(labels), 4)].copy()
    lowest = labels[: labels.shape[0] // 4]
    lowest[lowest == Structure.WHITE_MATTER] = Structure.CEREBELLAR_WHITE
    lowest[lowest == Structure.CORTEX] = Structure.CEREBELLAR_CORTEX
    return Anatomy("half", labels, canonical_grid(labels.shape, np.array([-40.0, -50.0, -40.0])))


def draw(head, settings=MANY, seed=0, blocked=None):
    nothing = np.zeros(head.labels_kji.shape, bool)
    blocked = nothing if blocked is None else blocked
    return draw_metastases(head, blocked, InversionRecovery(), settings, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def lesions(head):
    return draw(head)


@pytest.fixture(scope="module")
def labels(head, lesions):
    return paint_metastases(None, None, head.grid, lesions)


def gap_mm(one, other):
    """Least distance between the surfaces of two lesions, or between balls around them if those are far."""
    centres = (lesion.body.star.centre_lps_mm for lesion in (one, other))
    apart = np.linalg.norm(np.subtract(*centres)) - one.body.reach_mm - other.body.reach_mm
    if apart > 5:
        return apart
    directions = even_directions(2000)
    here, there = (
        lesion.body.star.centre_lps_mm + lesion.body.radius_mm(directions)[:, None] * directions
        for lesion in (one, other)
    )
    return spatial.cKDTree(here).query(there)[0].min()


def test_the_volumes_have_the_published_quartiles():
    volumes_cm3 = draw_volumes_mm3(PUBLISHED, 40_000, np.random.default_rng(1)) / 1000
    quartiles = np.quantile(volumes_cm3, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.021, 0.052, 0.18], rtol=0.08)
    assert volumes_cm3.min() >= 0.004
    assert volumes_cm3.max() <= 40


def test_a_third_of_the_published_lesions_is_at_least_6_mm_large():
    volumes = draw_volumes_mm3(PUBLISHED, 40_000, np.random.default_rng(2))
    diameters = (6 * volumes / np.pi) ** (1 / 3)
    shares = np.histogram(diameters, [0, 3, 6, 100])[0] / len(diameters)
    np.testing.assert_allclose(shares, [0.15, 0.50, 0.35], atol=0.02)


def test_training_has_more_large_lesions_than_the_cohort():
    rng = np.random.default_rng(3)
    large = [
        (draw_volumes_mm3(settings, 20_000, rng) > 500).mean()
        for settings in (MetastasisSettings(), PUBLISHED)
    ]
    assert large[0] > 1.5 * large[1]


def test_the_numbers_of_lesions_have_a_long_tail():
    settings, rng = MetastasisSettings(), np.random.default_rng(4)
    counts = np.array([draw_count(settings, rng) for _ in range(20_000)])
    assert (counts == 0).mean() == pytest.approx(0.17, abs=0.02)
    some = counts[counts > 0]
    assert some.mean() == pytest.approx(9.1, abs=0.4)
    np.testing.assert_allclose(np.quantile(some, [0.25, 0.5, 0.75]), [2, 5, 12], atol=1)
    assert counts.max() <= 60


def test_lesions_are_numbered_by_their_enhancing_volume(lesions):
    volumes = [lesion.volume_mm3 for lesion in lesions]
    assert volumes == sorted(volumes, reverse=True)
    assert [lesion.number for lesion in lesions] == list(range(1, len(lesions) + 1))
    assert len(lesions) > 20


def test_lesions_lie_in_the_brain(lesions, labels, head):
    assert set(np.unique(labels)) == set(range(len(lesions) + 1))
    assert brain_mask(head.labels_kji)[labels > 0].all()


def test_no_lesion_lies_where_it_is_blocked(head):
    blocked = np.zeros(head.labels_kji.shape, bool)
    blocked[:, :, : blocked.shape[2] // 2] = True
    placed = draw(head, blocked=blocked)
    assert not blocked[paint_metastases(None, None, head.grid, placed) > 0].any()


def test_lesions_keep_their_distance(lesions):
    for n, one in enumerate(lesions):
        for other in lesions[n + 1 :]:
            assert gap_mm(one, other) > 1.5  # 2 mm, decided on 1 mm voxels


def test_touching_lesions_touch_and_do_not_overlap(head):
    settings = replace(MANY, touching_share=1.0, count_mean=6.0, lobed_share=0.0)
    touching = draw(head, settings, seed=5)
    for lesion in touching:
        assert min(gap_mm(lesion, other) for other in touching if other is not lesion) < 1.5
    volumes = np.bincount(paint_metastases(None, None, head.grid, touching).ravel())[1:]
    expected = np.array([lesion.volume_mm3 for lesion in touching])
    large = expected > 200
    np.testing.assert_allclose(volumes[large], expected[large], rtol=0.1)


def test_most_lesions_lie_at_the_grey_white_junction_and_some_everywhere(head):
    settings = replace(MANY, count_mean=55.0, log_uniform_share=0.0)
    locations = [lesion.location for seed in range(3) for lesion in draw(head, settings, seed)]
    shares = {location: locations.count(location) / len(locations) for location in MetastasisLocation}
    assert shares[MetastasisLocation.JUNCTION] == pytest.approx(0.55, abs=0.12)
    assert shares[MetastasisLocation.CEREBELLUM] == pytest.approx(0.15, abs=0.09)
    assert min(shares.values()) > 0


def test_a_surface_lesion_touches_fluid_or_the_edge_of_the_brain(head):
    shares = {"junction_share": 0.0, "deep_white_share": 0.0, "cerebellum_share": 0.0, "central_share": 0.0}
    solid = np.isin(head.labels_kji, [1, 2, 7, 8, 9])
    for lesion in draw(head, replace(MANY, surface_share=1.0, count_mean=10.0, **shares)):
        directions = even_directions(400)
        reach_mm = lesion.body.radius_mm(directions) + 1.5
        points = lesion.body.star.centre_lps_mm + directions * reach_mm[:, None]
        index = np.rint(head.grid.to_index_kji(points)).astype(int)
        assert not solid[tuple(index.T)].all()


def test_the_largest_lesions_find_room(ellipsoid_head):
    settings = replace(MANY, volume_range_cm3=(20.0, 40.0), log_uniform_share=0.0, count_max=2)
    for lesion in draw(ellipsoid_head, settings, seed=7):
        assert lesion.volume_mm3 > 20_000
        assert lesion.filled_volume_mm3 < 61_000
        assert not lesion.redrawn


def test_a_size_that_fits_nowhere_is_drawn_again_and_says_so(head):
    blocked = np.ones(head.labels_kji.shape, bool)
    k, j, i = (n // 2 for n in blocked.shape)
    blocked[k + 10 : k + 22, j - 6 : j + 6, i - 6 : i + 6] = False
    settings = replace(MANY, volume_range_cm3=(0.1, 40.0), log_uniform_share=0.0, count_max=1)
    drawn = [draw(head, settings, seed, blocked)[0] for seed in range(8)]
    assert any(lesion.redrawn for lesion in drawn)
    assert not all(lesion.redrawn for lesion in drawn)
    assert max(lesion.filled_volume_mm3 for lesion in drawn) < 12**3


def test_a_brain_without_room_is_refused(head):
    with pytest.raises(InvalidInput, match="no room"):
        draw(head, blocked=np.ones(head.labels_kji.shape, bool))


def test_only_rings_have_cores_and_only_from_6_mm_on(head):
    settings = replace(MANY, log_uniform_share=1.0, log_uniform_diameter_mm=(4.0, 14.0), count_mean=50.0)
    lesions = draw(head, settings, seed=9)
    rings = [lesion for lesion in lesions if lesion.kind is not MetastasisKind.SOLID]
    assert len(rings) >= 5
    for lesion in lesions:
        assert (lesion.filled_volume_mm3 > lesion.volume_mm3 * 1.001) == (lesion in rings)
        assert (lesion.core_share > 0) == (lesion in rings)
    assert min(lesion.equivalent_diameter_mm for lesion in rings) >= 5.999


def test_most_lesions_darken_t1_and_all_enhance(lesions):
    model = InversionRecovery()
    grey, _ = model.signals(1300.0, 0.0)
    assert all(lesion.signals.wall_t1_post > lesion.signals.wall_t1 for lesion in lesions)
    dark = [lesion.signals.wall_t1 < 1.3 * grey for lesion in lesions]
    assert np.mean(dark) > 0.6
    assert all(0.06 <= lesion.concentration_mmol_l <= 1.2 for lesion in lesions)


def test_the_same_seed_draws_the_same_lesions(head, lesions):
    again, other = draw(head), draw(head, seed=1)
    assert [lesion.signals for lesion in again] == [lesion.signals for lesion in lesions]
    assert [lesion.centroid_lps_mm for lesion in again] == [lesion.centroid_lps_mm for lesion in lesions]
    assert [lesion.volume_mm3 for lesion in other] != [lesion.volume_mm3 for lesion in lesions]


def test_settings_that_went_through_json_draw_the_same_lesions(head, lesions):
    settings = MetastasisSettings(**json.loads(json.dumps(asdict(MANY))))
    assert [lesion.signals for lesion in draw(head, settings)] == [lesion.signals for lesion in lesions]


def test_a_study_may_have_none(head):
    assert draw(head, replace(MANY, empty_share=1.0)) == ()


def test_location_shares_that_do_not_add_up_are_refused():
    with pytest.raises(InvalidInput, match=r"add up to 1\.1, expected 1"):
        MetastasisSettings(junction_share=0.65)

import numpy as np
import pytest

from phantom.fields import paint_tube_fractions
from phantom.vessels import add_blood, grow_vessels


@pytest.fixture(scope="module")
def contrast(head):
    return grow_vessels(head, np.random.default_rng(8))


@pytest.mark.parametrize("radius_voxels", [0.45, 0.8, 1.4, 3.0])
def test_a_tube_has_the_volume_of_its_radius_however_thin(radius_voxels):
    points = np.stack([np.full(400, 10.1), np.full(400, 9.7), np.linspace(5, 45, 400)], axis=1)
    painted = paint_tube_fractions((20, 20, 50), points, np.full(400, radius_voxels))
    assert painted[:, :, 15:35].sum() / 20 == pytest.approx(np.pi * radius_voxels**2, rel=0.25)


def test_nothing_is_painted_outside_the_volume():
    painted = paint_tube_fractions((4, 4, 4), np.array([[-9.0, 2, 2], [2, 2, 30]]), np.array([1.0, 1.0]))
    assert painted.sum() == 0


def test_sinuses_lie_on_the_brain_and_not_within_it(contrast, head):
    sagittal = contrast.sinus > 0.5
    assert (head.brain_distance_mm[sagittal] > -6).mean() > 0.8  # the straight sinus alone lies deep


def test_blood_enhances_and_only_after_contrast(contrast, head):
    t1, post = add_blood(head, contrast)
    sinus = contrast.sinus > 0.99
    assert np.median(post[sinus]) > 1.2 > 0.6 > np.median(t1[sinus])


def test_most_of_the_brain_does_not_enhance_strongly(contrast, head):
    t1, post = add_blood(head, contrast)
    strong = (post - t1)[head.brain_mask] > 0.3
    assert 0.001 < strong.mean() < 0.05

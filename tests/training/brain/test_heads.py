from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from core.geometry import Grid
from phantom.synthesis.anatomy.label_map import canonical_grid
from tests.training.brain.test_geometry import PLAIN as PLAIN_GEOMETRY
from tests.training.brain.test_scan import PERFECT
from tests.training.brain.toy_head import make_toy_head
from training.brain.anatomy import PreparedHead
from training.brain.findings import FindingSettings
from training.brain.geometry import draw_placement
from training.brain.heads import AXES, SERVICE_SMOOTHING_VOXELS, HeadSettings, render_head, scale_image
from training.brain.tissues import TissueSettings
from worker.axes import from_axes
from worker.brain import CONTINUATION_MM, SMOOTHING_PER_SPACING, _lay_cube, _scale
from worker.model_set import BrainExtractionSpec, read_model_set

PLAIN = HeadSettings(
    geometry=PLAIN_GEOMETRY,
    tissues=TissueSettings(t1_order_share=1, enhanced_share=0, fat_suppressed_share=0, noise_range=(0, 0)),
    findings=FindingSettings(vessel_share=0, lesions_mean=0, cavity_share=0),
    scan=PERFECT,
    mottling_range=(0, 0),
    mixture_range=(0, 0),
)
COARSE = replace(HeadSettings(), geometry=replace(HeadSettings().geometry, spacing_mm=8, cube_voxels=32))


@pytest.fixture(scope="module")
def head() -> PreparedHead:
    return make_toy_head()


@pytest.fixture(scope="module")
def spec() -> BrainExtractionSpec:
    released = read_model_set(Path(__file__).parents[3] / "models").manifest.brain_extraction
    return released.model_copy(update={"spacing_mm": 2.0, "cube_voxels": 128})


def cube_grid() -> Grid:
    grid = canonical_grid((128, 128, 128), np.zeros(3))
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, :3] *= 2
    return Grid(grid.shape_kji, affine)


def test_heads_are_scaled_as_the_service_scales(spec):
    image = np.random.default_rng(1).gamma(1.0, 200.0, (20, 20, 20)).astype(np.float32)
    np.testing.assert_array_equal(scale_image(image), _scale(image, spec))
    assert spec.axes == AXES


def test_heads_lie_where_the_service_would_lay_its_cube(head, spec):
    image_kji = from_axes(render_head(head, PLAIN, np.random.default_rng(1)).image, AXES).astype(np.float32)
    cube = _lay_cube(image_kji, cube_grid(), spec)
    np.testing.assert_allclose(cube.affine_kji_to_lps_mm[:3, 3], 0, atol=6)


def test_a_cut_head_is_continued_with_its_end_slice_as_far_as_the_service_does(head):
    cut = replace(PLAIN_GEOMETRY, top_cut_share=1, top_cut_mm=(-20.0, -20.0))
    last = draw_placement(head, cut, np.random.default_rng(1)).last_slice
    rendered = render_head(head, replace(PLAIN, geometry=cut), np.random.default_rng(1))
    image_kji, brain_kji = (from_axes(a, AXES).astype(np.float32) for a in (rendered.image, rendered.brain))
    added = round(CONTINUATION_MM / 2)
    for volume in (image_kji, brain_kji):
        # Two slices at either end feel the smoothing.
        continued = volume[last + 2 : last + added - 1]
        assert continued.max() > 0
        np.testing.assert_array_equal(continued, np.broadcast_to(continued[:1], continued.shape))
        assert (volume[last + added + 3 :] == 0).all()


def test_heads_are_smoothed_as_the_service_smooths():
    assert SERVICE_SMOOTHING_VOXELS == SMOOTHING_PER_SPACING


def test_the_share_of_brain_adds_up_to_its_volume(head):
    rendered = render_head(head, PLAIN, np.random.default_rng(1))
    volume_mm3 = rendered.brain.sum() / 255 * 8
    assert volume_mm3 == pytest.approx(np.count_nonzero(head.depth_kji <= 0), rel=0.01)
    assert np.count_nonzero((rendered.brain > 0) & (rendered.brain < 255)) > 1000


def test_axes_run_right_anterior_superior(head):
    brain = render_head(head, PLAIN, np.random.default_rng(1)).brain
    centre = np.argwhere(brain > 127).mean(axis=0)
    # The brain lies in the upper part of the cube; the neck, below, a little behind its centre.
    assert centre[2] > 64 + 10
    image = render_head(head, PLAIN, np.random.default_rng(1)).image
    neck = np.argwhere(image[:, :, 20] > 0.3).mean(axis=0)
    assert neck[1] < centre[1] - 3


def test_the_same_seed_gives_the_same_head(head):
    first, again = (render_head(head, COARSE, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.brain, again.brain)


def test_many_heads_are_finite_and_within_the_clip(head):
    rng = np.random.default_rng(2)
    for _ in range(30):
        rendered = render_head(head, COARSE, rng)
        assert np.isfinite(rendered.image).all()
        assert (rendered.image.min(), rendered.image.max()) >= (0, 0.9)
        assert rendered.image.max() <= 1.5
        assert rendered.brain.max() == 255


def test_settings_survive_json():
    assert json.loads(json.dumps(asdict(HeadSettings()))) is not None

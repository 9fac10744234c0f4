import importlib.util
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput
from core.geometry import Grid
from phantom import template
from phantom.anatomy import head_from_volume


def test_the_brain_has_an_adults_size(head):
    volume_l = head.brain_mask.sum() * head.grid.voxel_volume_mm3 / 1e6
    assert 1.2 < volume_l < 1.6


def test_tissues_have_the_order_of_a_t1(head):
    white = np.median(head.t1[head.white > 0.95])
    grey = np.median(head.t1[head.grey > 0.95])
    csf = np.median(head.t1[head.brain_mask & (head.grey + head.white < 0.05)])
    assert csf < 0.35 < 0.5 < grey < 0.75 < 0.9 < white < 1.1


def test_dark_bone_and_bright_scalp_surround_the_brain(head):
    vault = np.zeros(head.grid.shape_kji, bool)
    vault[int(head.mni_to_index_kji(np.array([[0.0, 0, 30]]))[0, 0]) :] = True

    def median_between(low_mm, high_mm):
        shell = (head.brain_distance_mm > low_mm) & (head.brain_distance_mm < high_mm)
        return np.median(head.t1[vault & shell])

    assert median_between(2.3, 3.0) < 0.4
    assert median_between(8.3, 9.5) > 1.0
    assert median_between(16, 30) < 0.01


def test_right_is_where_mni_has_it(head):
    right, left = head.grid.to_lps_mm(head.mni_to_index_kji(np.array([[40.0, 0, 0], [-40.0, 0, 0]])))
    assert right[0] < 0 < left[0]


def test_another_seed_gives_another_brain(head):
    other = template.load_template(np.random.default_rng(4))
    assert np.count_nonzero(other.brain_mask) != np.count_nonzero(head.brain_mask)


def test_without_the_package_of_the_anatomy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r"metserve\[phantom\]"):
        template.load_template(np.random.default_rng(0))


def test_a_package_without_the_maps_is_named(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(template, "_template_folder", lambda: tmp_path)
    with pytest.raises(InvalidInput, match="mni_icbm152_t1"):
        template.load_template(np.random.default_rng(0))


def ball_scan() -> tuple[np.ndarray, Grid, np.ndarray]:
    """A sagittal scan of a ball of 60 mm radius, white within 48 mm, grey around; centre (5, -10, 20)."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-2.0, 0, 0], [0, 0, 1.5], [0, -1.5, 0]])
    affine[:3, 3] = np.array([5, -10, 20]) - affine[:3, :3] @ np.array([35, 49.5, 49.5])
    grid = Grid((71, 100, 100), affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid.to_lps_mm(index) - [5, -10, 20], axis=-1)
    voxels = np.select([distance < 48, distance < 60], [800.0, 520.0], 0.0).astype(np.float32)
    return voxels, grid, distance < 60


def test_a_real_scan_becomes_a_head_of_the_same_volume_and_place():
    voxels, grid, mask = ball_scan()
    head = head_from_volume(voxels, grid, mask)
    volume_mm3 = head.brain_mask.sum() * head.grid.voxel_volume_mm3
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 60**3, rel=0.02)
    centre = head.grid.to_lps_mm(np.argwhere(head.brain_mask)).mean(axis=0)
    np.testing.assert_allclose(centre, [5, -10, 20], atol=0.5)


def test_a_real_scan_is_scaled_to_its_white_matter():
    voxels, grid, mask = ball_scan()
    head = head_from_volume(voxels, grid, mask)
    assert np.median(head.t1[head.white > 0.9]) == pytest.approx(1.0, abs=0.05)


def test_a_mask_of_another_shape_is_refused():
    voxels, grid, mask = ball_scan()
    with pytest.raises(InvalidInput, match="expected both"):
        head_from_volume(voxels, grid, mask[1:])


def test_an_empty_mask_is_refused():
    voxels, grid, mask = ball_scan()
    with pytest.raises(InvalidInput, match="empty"):
        head_from_volume(voxels, grid, np.zeros_like(mask))

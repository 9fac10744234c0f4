from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluation.cohorts.synthetic.cohort import as_case
from evaluation.cohorts.synthetic.freeze import COHORTS
from evaluation.cohorts.synthetic.planning_scan import PlanningScanSettings, scan_pair
from phantom.synthesis.study import Scene, SynthesisSettings, build_scene
from tests.evaluation.small_cohort import FEW, SEED, small_head

SETTINGS = SynthesisSettings()
FOUR = {**FEW, "count_mean": 4.0}
COARSE = PlanningScanSettings(
    in_plane_mm=(2.0, 2.0), slice_mm=(2.5, 2.5), orientation_shares=(1.0, 0.0, 0.0), tilt_deg=0.0
)


@pytest.fixture(scope="module")
def scene() -> Scene:
    metastases = replace(SETTINGS.metastases, **FOUR)
    return build_scene(small_head("north", 46.0), SEED, replace(SETTINGS, metastases=metastases))


def truncated() -> dict[str, Any]:
    (group,) = [g for plan in COHORTS for g in plan.groups if g.name == "truncated"]
    planning = group.overrides["planning"]
    return {knob: tuple(v) if isinstance(v, list) else v for knob, v in planning.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_truncated_scan_lacks_the_top_of_the_brain_in_every_study(scene: Scene, seed: int) -> None:
    settings = PlanningScanSettings(in_plane_mm=(2.0, 2.0), slice_mm=(2.5, 2.5), **truncated())

    grid = scan_pair(scene, settings, seed).t1_post_grid

    brain_kji = np.argwhere(scene.brain_kji)
    at_kji = grid.to_index_kji(scene.grid.to_lps_mm(brain_kji))
    is_above = at_kji[:, 0] > grid.shape_kji[0] - 0.5
    assert is_above[brain_kji[:, 0].argmax()]
    assert 0.05 < is_above.mean() < 0.5


def test_a_lesion_outside_the_scan_leaves_no_gap_in_the_numbers(scene: Scene) -> None:
    whole = scan_pair(scene, COARSE, seed=1)
    heights_mm = sorted(lesion.centroid_lps_mm[2] for lesion in scene.metastases)
    top_mm = scene.grid.to_lps_mm(np.argwhere(scene.brain_kji))[:, 2].max()

    cut = scan_pair(scene, replace(COARSE, cut_mm=top_mm - np.mean(heights_mm[:2]) + 20), seed=1)

    assert whole.lesions_outside == 0
    assert cut.lesions_outside == len(scene.metastases) - cut.labels_kji.max() > 0
    volumes = {round(lesion.volume_mm3, 3) for lesion in scene.metastases}
    assert cut.lesion_volumes_mm3 is not None
    assert {round(volume, 3) for volume in cut.lesion_volumes_mm3.values()} < volumes
    case = as_case("cut", "north", cut)
    assert case.lesion_volumes_mm3 == cut.lesion_volumes_mm3
    assert case.lesions_outside == cut.lesions_outside


def test_lesions_keep_their_volumes_when_others_are_cut_off(scene: Scene) -> None:
    scan = scan_pair(scene, COARSE, seed=1)

    assert scan.lesion_volumes_mm3 == {lesion.number: lesion.volume_mm3 for lesion in scene.metastases}

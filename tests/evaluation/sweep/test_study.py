from __future__ import annotations

import numpy as np
import pytest

from core.study import AnalysisMode
from evaluation.scoring.matching import overlap
from evaluation.sweep.candidates import find_candidates
from evaluation.sweep.study import ALL, THRESHOLDS, Subset, list_subsets, sweep_study
from tests.evaluation.hand_made import GRID, MEMBERS, blobs, make_study
from tests.synthetic import SAGITTAL, make_grid
from worker.lesions import find_lesions
from worker.model_set import Member, OperatingPoint, Voxels

SOURCES = {
    "the analysis grid": GRID,
    "smaller pixels": make_grid((27, 62, 68), (1.5, 0.71, 0.71)),
    "thick slices": make_grid((8, 44, 48), (5.0, 1.0, 1.0)),
    "sagittal": make_grid((37, 49, 44), (1.3, 0.9, 0.9), SAGITTAL),
}
FAR_APART = ((10, 10, 10), (10, 30, 10), (30, 10, 30))
SUBSETS = (Subset(ALL, MEMBERS[:2]), Subset(MEMBERS[0], MEMBERS[:1]))


def member(name: str, loss: str) -> Member:
    kind = "t1_post" if name.startswith("t1") else "subtraction"
    return Member(name=name, file=f"{name}.onnx", sha256="0" * 64, input=kind, loss=loss)


def study_on(source_grid):
    """Lesions of several sizes, some half found, some not there; members that do not agree."""
    rng = np.random.default_rng(4)
    centres = rng.uniform(6, 34, (9, 3))
    first = np.maximum(blobs(centres[:6], 3.1), blobs(centres[6:], 1.6, 0.7))
    noise = blobs(rng.uniform(5, 35, (25, 3)), 0.9, 0.8)
    second = np.maximum(blobs(centres[3:] + 0.7, 2.4, 0.8), noise)
    truth_kji = GRID.to_lps_mm(centres[:7])
    points = source_grid.to_lps_mm(np.stack(np.indices(source_grid.shape_kji), axis=-1))
    reference = np.zeros(source_grid.shape_kji, dtype=bool)
    for centre in truth_kji:
        reference |= np.linalg.norm(points - centre, axis=-1) < 2.6
    return make_study([first, second], reference, source_grid=source_grid)


def found_by_the_service(study, subset: Subset, threshold: float, voxels: Voxels):
    point = OperatingPoint(threshold=threshold, minimum_component_voxels=voxels)
    probability = study.probability(subset.member_names, AnalysisMode.FULL)
    findings = find_lesions(probability, study.source_grid, point, lambda n: (str(n), ""))
    return overlap(study.reference_kji, findings.label_map_kji)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("voxels", [1, 4])
def test_the_sweep_finds_what_the_service_finds(source, voxels):
    study = study_on(SOURCES[source])
    tally = sweep_study(study, SUBSETS, voxels)
    for subset in SUBSETS:
        for n in range(1, len(THRESHOLDS), 3):
            expected = found_by_the_service(study, subset, THRESHOLDS[n], voxels)
            found = tally.tallies[subset.name][n]
            assert found.detected(voxels).tolist() == expected.detected.tolist()
            assert found.false_positives(voxels) == len(expected.false_positives)
            assert found.dice == pytest.approx(expected.scan_dice(), abs=2e-3)


def test_a_study_without_output_finds_nothing_at_any_threshold():
    reference = blobs([(20, 20, 20)], 3) > 0.4
    nothing = np.zeros(GRID.shape_kji, dtype=np.float32)
    tally = sweep_study(make_study([nothing, nothing], reference), SUBSETS, 4)
    for found in tally.tallies[ALL]:
        assert (found.hit_voxels.tolist(), found.false_positives(1), found.dice) == ([0], 0, 0)


def test_a_study_without_lesions_has_inventions_but_no_dice():
    output = blobs([(20, 20, 20), (10, 30, 30)], 3)
    tally = sweep_study(make_study([output, output], np.zeros(GRID.shape_kji, dtype=bool)), SUBSETS, 4)
    assert [found.false_positives(4) for found in tally.tallies[ALL][:10]] == [2] * 10
    assert tally.tallies[ALL][5].dice is None


def test_an_ensemble_without_all_its_members_is_left_out():
    output = blobs([(20, 20, 20)], 3)
    study = make_study([output], output > 0.4)
    assert set(sweep_study(study, SUBSETS, 4).tallies) == {MEMBERS[0]}


def test_the_peak_in_a_lesion_is_each_members_highest_output_there():
    low, high = blobs([(20, 20, 20)], 3, 0.4), blobs([(20, 20, 20)], 3, 1.0)
    candidates = find_candidates(make_study([low, high], high > 0.5))
    np.testing.assert_allclose(candidates.lesion_peaks[:, 0], [0.4, 1.0], atol=1e-3)


def test_a_peak_below_every_threshold_is_still_the_peak():
    faint = blobs([(20, 20, 20)], 3, 0.03)
    candidates = find_candidates(make_study([faint, 0 * faint], faint > 0.02))
    np.testing.assert_allclose(candidates.lesion_peaks[:, 0], [0.03, 0], atol=1e-3)


def test_a_member_that_saturates_is_resolved_near_1():
    # Three blobs whose peaks a sweep that ends at 0.95 takes for one and the same.
    saturated = np.max(
        [blobs([c], 3, p) for c, p in zip(FAR_APART, (1.0, 0.985, 0.965), strict=True)], axis=0
    )
    nothing = np.zeros(GRID.shape_kji, dtype=bool)
    tally = sweep_study(make_study([saturated], nothing), SUBSETS, 1).tallies[MEMBERS[0]]
    invented = {t: found.false_positives(1) for t, found in zip(THRESHOLDS, tally, strict=True)}
    assert [invented[t] for t in (0.95, 0.97, 0.98, 0.99, 0.9995)] == [3, 2, 2, 1, 1]


def test_true_volumes_decide_the_size_of_lesions_where_they_are_known():
    output = blobs([(20, 20, 20)], 3)
    told = make_study([output], output > 0.4, lesion_volumes_mm3={1: 42.0})
    untold = make_study([output], output > 0.4)
    assert sweep_study(told, SUBSETS, 4).lesion_sizes_mm3.tolist() == [42.0]
    assert sweep_study(untold, SUBSETS, 4).lesion_sizes_mm3.tolist() == [np.count_nonzero(output > 0.4)]


def test_the_ensembles_are_all_each_input_each_loss_and_each_member():
    members = [member(f"{kind}-{loss}", loss) for kind in ("t1_post", "subtraction") for loss in "ab"]
    assert [(s.name, len(s.member_names)) for s in list_subsets(members)] == [
        ("all", 4), ("t1_post", 2), ("subtraction", 2), ("a", 2), ("b", 2),
        ("t1_post-a", 1), ("t1_post-b", 1), ("subtraction-a", 1), ("subtraction-b", 1),
    ]  # fmt: skip


def test_an_ensemble_is_listed_once_however_it_comes_about():
    members = [member("t1_post-a", "a"), member("subtraction-a", "a")]
    assert [s.name for s in list_subsets(members)] == ["all", "t1_post-a", "subtraction-a"]
    assert [s.name for s in list_subsets(members[:1])] == ["all"]

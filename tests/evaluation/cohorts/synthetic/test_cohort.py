"""A cohort is a file: what it freezes cannot change unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput
from core.geometry import Grid
from evaluation.cohorts.case import Case, CaseGroup, Cohort
from evaluation.cohorts.case_store import keep_cases
from evaluation.cohorts.synthetic.cohort import open_synthetic
from evaluation.cohorts.synthetic.freeze import CohortPlan, GroupPlan, freeze
from phantom.synthesis.anatomy.files import write_packed
from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from phantom.synthesis.anatomy.structures import Structure

SEED = 41
HEADS = ("north", "south")
COARSE = {"in_plane_mm": [2.0, 2.0], "slice_mm": [2.5, 2.5], "tilt_deg": 10.0}
FEW = {"empty_share": 0.0, "count_mean": 1.0, "count_max": 4, "log_uniform_share": 0.0}
PLAN = CohortPlan(
    "small", "Two heads.", HEADS, (GroupPlan("few", 3, SEED, {"metastases": FEW, "planning": COARSE}),)
)


def small_head(name: str, radius_mm: float) -> Anatomy:
    """Shells around a ball of brain: enough for lesions, scans and their geometry."""
    k, j, i = np.ogrid[-64:65, -68:69, -66:67]
    distance = np.sqrt(k**2 + j**2 + i**2)
    labels = np.zeros(distance.shape, dtype=np.uint8)
    for structure, beyond_mm in (
        (Structure.SKIN, 14), (Structure.SOFT_TISSUE, 12), (Structure.CORTICAL_BONE, 8),
        (Structure.CSF, 5), (Structure.CORTEX, 0), (Structure.WHITE_MATTER, -5),
    ):  # fmt: skip
        labels[distance < radius_mm + beyond_mm] = structure
    labels[(np.hypot(j, i) < 6) & (k < 0) & (k > -radius_mm - 3)] = Structure.BRAINSTEM
    return Anatomy(name, labels, canonical_grid(labels.shape, np.array([-66.0, -68.0, -64.0])))


def keep_head(folder: Path, head: Anatomy) -> None:
    write_packed(head, folder / f"{head.name}.npz")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for name, radius_mm in zip(HEADS, (46.0, 48.0), strict=True):
        keep_head(folder, small_head(name, radius_mm))
    return folder


@pytest.fixture(scope="module")
def frozen(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return freeze([PLAN], heads, tmp_path_factory.mktemp("cohorts"))[0]


@pytest.fixture(scope="module")
def cohort(frozen: Path, heads: Path) -> Cohort:
    return open_synthetic(frozen, heads)


@pytest.fixture(scope="module")
def case(cohort: Cohort) -> Case:
    return cohort.make(cohort.case_names[0])


def test_studies_take_the_heads_in_turn(cohort: Cohort, case: Case) -> None:
    assert cohort.case_names == ("few-000", "few-001", "few-002")
    assert case.anatomy == "north"
    assert cohort.make("few-001").anatomy == "south"


def test_cases_belong_to_the_group_they_are_called_after(cohort: Cohort) -> None:
    assert cohort.groups == (CaseGroup("few", ("few-000", "few-001", "few-002")),)


def test_the_same_case_is_the_same_bit_for_bit(cohort: Cohort, case: Case) -> None:
    again = cohort.make(case.name)

    assert again.t1 is not None
    assert case.t1 is not None
    assert np.array_equal(again.t1_post.voxels_kji, case.t1_post.voxels_kji)
    assert np.array_equal(again.t1.voxels_kji, case.t1.voxels_kji)
    assert np.array_equal(again.reference_kji, case.reference_kji)


def test_a_lesion_lies_in_the_bright_part_of_the_scan(case: Case) -> None:
    grid: Grid = case.t1_post.grid
    voxels = case.t1_post.voxels_kji

    assert case.reference_kji.max() >= 1
    assert grid.spacing_kji_mm == pytest.approx((2.5, 2.0, 2.0))
    assert voxels[case.reference_kji > 0].mean() > np.median(voxels[voxels > np.percentile(voxels, 50)])


def test_stored_values_are_whole_numbers_as_a_scanner_writes_them(case: Case) -> None:
    assert np.array_equal(case.t1_post.voxels_kji, np.rint(case.t1_post.voxels_kji))


def test_a_kept_case_is_read_back_as_it_was_made(cohort: Cohort, case: Case, tmp_path: Path) -> None:
    kept = keep_cases(cohort, tmp_path)
    first = kept.make(case.name)

    again = keep_cases(cohort, tmp_path).make(case.name)

    for made in (first, again):
        assert np.array_equal(made.t1_post.voxels_kji, case.t1_post.voxels_kji)
        assert made.t1_post.grid.affine_kji_to_lps_mm == pytest.approx(case.t1_post.grid.affine_kji_to_lps_mm)
        assert np.array_equal(made.reference_kji, case.reference_kji)
        assert np.array_equal(made.structures_kji, case.structures_kji)
        assert made.anatomy == case.anatomy


def test_a_damaged_kept_case_is_made_anew(cohort: Cohort, case: Case, tmp_path: Path) -> None:
    kept = keep_cases(cohort, tmp_path)
    kept.make(case.name)
    (stored,) = tmp_path.rglob("*.npz")
    stored.write_bytes(stored.read_bytes()[:1000])

    assert np.array_equal(kept.make(case.name).reference_kji, case.reference_kji)


def test_another_knob_is_another_cohort(frozen: Path, heads: Path, cohort: Cohort, tmp_path: Path) -> None:
    settings = json.loads((frozen.parent / "settings.json").read_text())
    settings["metastases"]["gap_mm"] = 2.5
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "small.toml").write_text(frozen.read_text())

    assert open_synthetic(tmp_path / "small.toml", heads).digest != cohort.digest


def test_a_cohort_of_another_generator_is_refused(frozen: Path, heads: Path, tmp_path: Path) -> None:
    changed = frozen.read_text().replace("generator_version = ", "generator_version = 9")
    (tmp_path / "small.toml").write_text(changed)
    (tmp_path / "settings.json").write_text((frozen.parent / "settings.json").read_text())

    with pytest.raises(InvalidInput, match="was frozen with generator 9"):
        open_synthetic(tmp_path / "small.toml", heads)


def test_another_label_map_of_the_same_name_is_refused(frozen: Path, tmp_path: Path) -> None:
    keep_head(tmp_path, small_head("north", 46.0))
    keep_head(tmp_path, small_head("south", 47.0))

    with pytest.raises(InvalidInput, match="label map south has SHA-256"):
        open_synthetic(frozen, tmp_path)


def test_a_knob_nobody_knows_is_refused(frozen: Path, heads: Path, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(frozen.read_text().replace("count_max", "most"))
    (tmp_path / "settings.json").write_text((frozen.parent / "settings.json").read_text())

    with pytest.raises(InvalidInput, match="no knobs"):
        open_synthetic(tmp_path / "small.toml", heads)


def test_a_frozen_cohort_is_not_frozen_again(frozen: Path, heads: Path) -> None:
    with pytest.raises(InvalidInput, match="exists"):
        freeze([PLAN], heads, frozen.parent)

"""A cohort is a file: what it freezes cannot change unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import Defect, InvalidInput
from core.geometry import Grid
from evaluation.cohorts.case import Case, CaseGroup, Cohort
from evaluation.cohorts.synthetic.cohort import open_synthetic, plan_cohort
from evaluation.cohorts.synthetic.cohort_file import digest_cohort, read_cohort_file, read_knobs
from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from tests.evaluation.small_cohort import HEADS, SEED, keep_head, small_head


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


def test_a_frozen_cohort_is_opened_with_the_digest_in_its_file(frozen: Path, cohort: Cohort) -> None:
    assert f'digest = "{cohort.digest}"' in frozen.read_text().splitlines()


def test_another_knob_is_refused_with_both_digests(
    frozen: Path, heads: Path, cohort: Cohort, tmp_path: Path
) -> None:
    settings = json.loads((frozen.parent / "settings.json").read_text())
    settings["metastases"]["gap_mm"] = 2.5
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "small.toml").write_text(frozen.read_text())

    with pytest.raises(InvalidInput, match=f"have digest [0-9a-f]{{64}}, expected {cohort.digest}"):
        open_synthetic(tmp_path / "small.toml", heads)


@pytest.mark.parametrize(
    ("frozen_as", "edited"),
    [
        ("studies = 3", "studies = 2"),
        (f"first_seed = {SEED}", f"first_seed = {SEED + 1}"),
        ("tilt_deg = 10.0", "tilt_deg = 9.0"),
    ],
)
def test_an_edited_group_is_refused(
    frozen: Path, heads: Path, tmp_path: Path, frozen_as: str, edited: str
) -> None:
    (tmp_path / "settings.json").write_text((frozen.parent / "settings.json").read_text())
    (tmp_path / "small.toml").write_text(frozen.read_text().replace(frozen_as, edited))

    with pytest.raises(InvalidInput, match="as when the cohort was frozen"):
        open_synthetic(tmp_path / "small.toml", heads)


def test_heads_in_another_order_are_refused(frozen: Path, heads: Path, tmp_path: Path) -> None:
    lines = frozen.read_text().splitlines()
    north = next(n for n, line in enumerate(lines) if line.startswith("north = "))
    lines[north], lines[north + 1] = lines[north + 1], lines[north]
    (tmp_path / "settings.json").write_text((frozen.parent / "settings.json").read_text())
    (tmp_path / "small.toml").write_text("\n".join(lines))

    with pytest.raises(InvalidInput, match="as when the cohort was frozen"):
        open_synthetic(tmp_path / "small.toml", heads)


def test_another_generator_is_another_cohort(frozen: Path) -> None:
    content, base = read_cohort_file(frozen), read_knobs(frozen.parent / "settings.json")
    other = content.model_copy(update={"generator_version": content.generator_version + 1})

    assert digest_cohort(other, base) != digest_cohort(content, base)


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
    (tmp_path / "small.toml").write_text(frozen.read_text())
    settings = (frozen.parent / "settings.json").read_text()
    (tmp_path / "settings.json").write_text(settings.replace("count_max", "most"))

    with pytest.raises(InvalidInput, match="no knobs"):
        open_synthetic(tmp_path / "small.toml", heads)


def test_a_case_that_cannot_be_made_is_our_own_error(frozen: Path) -> None:
    """The runner skips what a person's files get wrong; a synthetic study has no such excuse."""
    nobody = canonical_grid((16, 16, 16), np.zeros(3))
    heads = {name: Anatomy(name, np.zeros(nobody.shape_kji, np.uint8), nobody) for name in HEADS}
    cohort = plan_cohort(read_cohort_file(frozen), read_knobs(frozen.parent / "settings.json"), heads)

    with pytest.raises(Defect, match="case few-000 cannot be made"):
        cohort.make("few-000")

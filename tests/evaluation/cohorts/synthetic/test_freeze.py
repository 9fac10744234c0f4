from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InvalidInput
from evaluation.cohorts.case import Case
from evaluation.cohorts.case_store import digest_voxels
from evaluation.cohorts.synthetic.cohort import open_synthetic
from evaluation.cohorts.synthetic.cohort_file import read_cohort_file
from evaluation.cohorts.synthetic.freeze import check, freeze
from tests.evaluation.small_cohort import PLAN

ONE_CASE = replace(PLAN, groups=(replace(PLAN.groups[0], studies=1),))


def test_a_frozen_cohort_is_not_frozen_again(frozen: Path, heads: Path) -> None:
    with pytest.raises(InvalidInput, match="exists"):
        freeze([PLAN], heads, frozen.parent)


def test_the_voxels_of_the_first_cases_are_written_down(heads: Path, case: Case, tmp_path: Path) -> None:
    path = freeze([ONE_CASE], heads, tmp_path, voxels=1)[0]

    assert read_cohort_file(path).voxels == {case.name: digest_voxels(case)}
    assert open_synthetic(path, heads).case_names == (case.name,)


def test_a_check_tells_a_case_that_is_made_otherwise_and_opening_does_not(
    heads: Path, case: Case, tmp_path: Path
) -> None:
    path = freeze([ONE_CASE], heads, tmp_path)[0]
    path.write_text(path.read_text() + f'\n[voxels]\n{case.name} = "{"0" * 64}"\n')

    (checked,) = check([ONE_CASE], heads, tmp_path)

    assert open_synthetic(path, heads).case_names == (case.name,)
    assert (checked.name, checked.expected, checked.found) == (case.name, "0" * 64, digest_voxels(case))

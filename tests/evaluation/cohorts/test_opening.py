from __future__ import annotations

import numpy as np
import pytest

from cli.chosen_study import choose_dicom_study
from core.errors import InvalidInput
from evaluation.cohorts.case import Case, Cohort
from evaluation.cohorts.opening import Shard, open_cohort, select_cases
from tests.synthetic import FRAME_OF_REFERENCE_UID, make_grid, make_references
from worker.volumes import Volume

GRID = make_grid((4, 5, 6), (1, 1, 1))
SCAN = Volume(np.zeros(GRID.shape_kji, np.float32), GRID, FRAME_OF_REFERENCE_UID, make_references(4))


def nothing_made(name: str) -> Case:
    raise AssertionError(f"{name} was made")


COHORT = Cohort("five", "d1", ("a", "b", "c", "d", "e"), nothing_made)


def test_cases_keep_the_cohorts_order():
    assert select_cases(COHORT, ("d", "a")) == ("a", "d")
    assert select_cases(COHORT, limit=2) == ("a", "b")


def test_shards_hold_every_case_once():
    parts = [select_cases(COHORT, shard=Shard.parse(f"{n}/2")) for n in (1, 2)]
    assert parts == [("a", "c", "e"), ("b", "d")]


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "-1/2"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(InvalidInput, match="expected something like 1/2"):
        Shard.parse(text)


def test_a_case_the_cohort_lacks_is_named():
    with pytest.raises(InvalidInput, match=r"five has no case \['x'\]"):
        select_cases(COHORT, ("a", "x"))


def test_no_case_is_no_evaluation():
    with pytest.raises(InvalidInput, match="no case of cohort five is left"):
        select_cases(COHORT, ("a",), shard=Shard(2, 2))


def test_a_cases_digest_follows_cohort_and_name():
    other = Cohort("five", "d2", COHORT.case_names, nothing_made)
    assert len({COHORT.case_digest("a"), COHORT.case_digest("b"), other.case_digest("a")}) == 3


def test_what_is_neither_file_nor_folder_is_no_cohort(tmp_path):
    with pytest.raises(InvalidInput, match="expected a TOML file or a folder"):
        open_cohort(tmp_path / "absent", None, choose_dicom_study)


def test_a_reference_on_another_grid_is_refused():
    with pytest.raises(
        InvalidInput, match=r"reference_kji of case a has shape \(4, 5, 5\), expected \(4, 5, 6\)"
    ):
        Case("a", "head", SCAN, None, np.zeros((4, 5, 5), np.uint16))


def test_a_reference_with_gaps_in_its_numbers_is_refused():
    reference = np.zeros(GRID.shape_kji, np.uint16)
    reference[1, 1, 1], reference[3, 3, 3] = 1, 3
    with pytest.raises(InvalidInput, match=r"has no lesion \[2\], expected numbers without gaps"):
        Case("a", "head", SCAN, None, reference)


def test_volumes_belong_to_the_lesions_of_the_reference():
    reference = np.zeros(GRID.shape_kji, np.uint16)
    reference[1, 1, 1] = 1
    with pytest.raises(InvalidInput, match=r"case a has volumes of lesions \[2\], expected \[1\]"):
        Case("a", "head", SCAN, None, reference, lesion_volumes_mm3={2: 7.0})

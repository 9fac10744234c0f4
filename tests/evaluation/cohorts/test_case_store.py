from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import Defect
from evaluation.cohorts.case import Case, Cohort
from evaluation.cohorts.case_store import digest_voxels, keep_cases
from tests.synthetic import FRAME_OF_REFERENCE_UID, make_grid, make_references
from worker.volumes import Volume

GRID = make_grid((4, 5, 6), (1.2, 0.7, 0.7))
FIRST_OUTSIDE_INT16 = 32768.0


def make_case(brightest: float = 900.0) -> Case:
    voxels = np.arange(120, dtype=np.float32).reshape(GRID.shape_kji)
    voxels[1, 1, 1] = brightest
    reference = np.zeros(GRID.shape_kji, np.uint16)
    reference[1, 1, 1], reference[3, 3, 3] = 1, 2
    volume = Volume(voxels, GRID, FRAME_OF_REFERENCE_UID, make_references(4))
    structures = (reference + 3).astype(np.uint8)
    return Case("a", "head", volume, volume, reference, structures, {1: 3.25, 2: 0.5}, 1)


def cohort_of(case: Case, digest: str = "ab" * 32) -> Cohort:
    return Cohort("one", digest, ("a",), lambda _: case)


def nothing_made(name: str) -> Case:
    raise AssertionError(f"{name} was made")


@pytest.mark.parametrize("volumes_mm3", [{1: 3.25, 2: 0.5}, None])
def test_a_kept_case_is_read_back_as_it_was_made(
    tmp_path: Path, volumes_mm3: dict[int, float] | None
) -> None:
    case = replace(make_case(), lesion_volumes_mm3=volumes_mm3)
    keep_cases(cohort_of(case), tmp_path).make("a")

    read = keep_cases(replace(cohort_of(case), make=nothing_made), tmp_path).make("a")

    assert read.t1 is not None
    assert np.array_equal(read.t1_post.voxels_kji, case.t1_post.voxels_kji)
    assert np.array_equal(read.t1.voxels_kji, case.t1_post.voxels_kji)
    assert read.t1_post.grid.affine_kji_to_lps_mm == pytest.approx(GRID.affine_kji_to_lps_mm)
    assert np.array_equal(read.reference_kji, case.reference_kji)
    assert np.array_equal(read.structures_kji, case.structures_kji)
    assert (read.anatomy, read.lesion_volumes_mm3, read.lesions_outside) == ("head", volumes_mm3, 1)


def test_another_cohort_never_reads_these_cases(tmp_path: Path) -> None:
    keep_cases(cohort_of(make_case()), tmp_path).make("a")

    assert keep_cases(cohort_of(make_case(7.0), "cd" * 32), tmp_path).make("a").t1_post.voxels_kji.max() < 900


def test_a_damaged_kept_case_is_made_anew(tmp_path: Path) -> None:
    kept = keep_cases(cohort_of(make_case()), tmp_path)
    kept.make("a")
    (stored,) = tmp_path.rglob("*.npz")
    stored.write_bytes(stored.read_bytes()[:1000])

    assert np.array_equal(kept.make("a").reference_kji, make_case().reference_kji)


@pytest.mark.parametrize(
    ("brightest", "message"),
    [
        (FIRST_OUTSIDE_INT16, "t1_post of case a holds 0 to 32768, expected -32768 to 32767"),
        (900.5, "t1_post of case a holds fractions"),
    ],
)
def test_voxels_that_would_be_stored_as_others_are_refused(
    tmp_path: Path, brightest: float, message: str
) -> None:
    with pytest.raises(Defect, match=message):
        keep_cases(cohort_of(make_case(brightest)), tmp_path).make("a")
    assert not list(tmp_path.rglob("*.*"))


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    keep_cases(cohort_of(make_case()), tmp_path).make("a")
    (folder,) = tmp_path.iterdir()
    left, written = folder / "b.1.partial", folder / "c.2.partial"
    left.write_bytes(b"half")
    with written.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        keep_cases(cohort_of(make_case()), tmp_path)

    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "c.2.partial"]


def test_the_digest_of_the_voxels_covers_the_labels(tmp_path: Path) -> None:
    case = make_case()
    moved = np.roll(case.reference_kji, 1, axis=2)

    assert digest_voxels(case) == digest_voxels(make_case())
    assert digest_voxels(replace(case, reference_kji=moved)) != digest_voxels(case)
    assert digest_voxels(make_case(901.0)) != digest_voxels(case)

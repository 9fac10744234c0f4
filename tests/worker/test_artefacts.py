from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from core.errors import Transient
from core.geometry import Grid
from core.lesion import RegistrationQuality
from core.study import AnalysisMode, QualityFlag
from tests.synthetic import make_grid, make_references
from worker.artefacts import load_prepared, load_probability, save_prepared, save_probability
from worker.ensemble import LesionProbability
from worker.preprocessing import PreparedVolumes

GRID = make_grid((20, 22, 24), (1, 1, 1), centre_lps_mm=(3, 4, 5))


def mask() -> np.ndarray:
    brain = np.zeros(GRID.shape_kji, dtype=bool)
    brain[3:15, 4:20, 5:21] = np.random.default_rng(0).random((12, 16, 16)) > 0.2
    return brain


def masked(seed: int) -> np.ndarray:
    return np.where(mask(), np.random.default_rng(seed).normal(size=GRID.shape_kji), 0).astype(np.float32)


def prepared_volumes(*, with_t1: bool) -> PreparedVolumes:
    return PreparedVolumes(
        grid=GRID,
        t1_post_kji=masked(1),
        subtraction_kji=masked(2) if with_t1 else None,
        brain_mask_kji=mask(),
        source_grid=make_grid((10, 30, 30), (2.0, 0.8, 0.8)),
        source_slices=make_references(10),
        registration=RegistrationQuality(True, 0.7, 1.5, 2.5) if with_t1 else None,
        brain_volume_mm3=1234.5,
        flags=() if with_t1 else (QualityFlag.T1_POST_ONLY,),
    )


def lesion_probability() -> LesionProbability:
    members = tuple(np.abs(masked(n)).astype(np.float16) for n in (3, 4))
    return LesionProbability(GRID, np.abs(masked(5)), ("a", "b"), members, mask(), AnalysisMode.FULL)


def assert_equal(loaded: object, saved: object) -> None:
    for field in fields(saved):
        value, expected = getattr(loaded, field.name), getattr(saved, field.name)
        if isinstance(expected, Grid):
            assert value.is_close_to(expected, tolerance_mm=0)
        elif isinstance(expected, np.ndarray):
            assert value.dtype == expected.dtype
            np.testing.assert_array_equal(value, expected)
        elif field.name == "members_kji":
            np.testing.assert_array_equal(value, expected)
        else:
            assert value == expected


@pytest.mark.parametrize("with_t1", [True, False])
def test_prepared_volumes_come_back_as_they_were(tmp_path, with_t1):
    saved = prepared_volumes(with_t1=with_t1)
    save_prepared(saved, tmp_path / "prepared.npz")
    assert_equal(load_prepared(tmp_path / "prepared.npz"), saved)


def test_probabilities_come_back_as_they_were(tmp_path):
    saved = lesion_probability()
    save_probability(saved, tmp_path / "probability.npz")
    assert_equal(load_probability(tmp_path / "probability.npz"), saved)


def test_nothing_but_the_finished_file_is_left(tmp_path):
    save_probability(lesion_probability(), tmp_path / "probability.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["probability.npz"]


def test_a_truncated_file_can_be_tried_again(tmp_path):
    path = tmp_path / "probability.npz"
    save_probability(lesion_probability(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(Transient, match=r"cannot read probability\.npz"):
        load_probability(path)


def test_a_missing_folder_can_be_tried_again(tmp_path):
    with pytest.raises(Transient, match=r"cannot write prepared\.npz"):
        save_prepared(prepared_volumes(with_t1=True), tmp_path / "missing" / "prepared.npz")

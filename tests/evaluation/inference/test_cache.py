from __future__ import annotations

import numpy as np
import pytest

from core.errors import InvalidInput
from core.settings import bundled_models_dir
from evaluation.figures.results import SkippedStudy
from evaluation.inference.cache import StudyCache, digest_inference
from tests.evaluation.hand_made import GRID, MEMBERS, blobs, make_study
from tests.synthetic import make_grid
from worker.model_set import ModelSet, OperatingPoint, read_model_set

FINE = make_grid((27, 62, 68), (1.5, 0.71, 0.71))


@pytest.fixture
def study():
    output = blobs([(20, 20, 20)], 3)
    reference = np.zeros(FINE.shape_kji, dtype=bool)
    reference[10:14, 30:35, 30:35] = True
    structures = np.full(FINE.shape_kji, 3, dtype=np.uint8)
    return make_study([output, 0.5 * output], reference, source_grid=FINE, structures=structures)


def test_what_is_kept_is_what_comes_back(tmp_path, study):
    cache = StudyCache(tmp_path / "cache", "networks")
    cache.keep("case", study)
    back = cache.load("case")
    for name in ("name", "anatomy", "mode", "flags", "brain_volume_mm3", "seconds", "member_names"):
        assert getattr(back, name) == getattr(study, name)
    for name in ("voxels", "mean", "members", "reference_kji", "structures_kji"):
        np.testing.assert_array_equal(getattr(back, name), getattr(study, name))
    assert back.grid.is_close_to(study.grid, 0)
    assert back.source_grid.is_close_to(study.source_grid, 0)


def test_a_skipped_study_is_kept_with_its_reason(tmp_path):
    cache = StudyCache(tmp_path, "networks")
    cache.keep("case", SkippedStudy("study", "no_brain_found", "nothing there"))
    assert cache.load("case") == SkippedStudy("study", "no_brain_found", "nothing there")


def test_other_networks_and_other_cases_have_other_files(tmp_path, study):
    StudyCache(tmp_path, "networks").keep("case", study)
    assert StudyCache(tmp_path, "others").load("case") is None
    assert StudyCache(tmp_path, "networks").load("other") is None


def test_half_a_file_is_no_file(tmp_path, study):
    cache = StudyCache(tmp_path, "networks")
    cache.keep("case", study)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.rename(tmp_path / f"{path.name}.1.part")
    assert cache.load("case") is None
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match="delete it to run the study again"):
        cache.load("case")


def test_only_outputs_above_nothing_are_stored(study):
    assert len(study.voxels) < 1000 < np.prod(GRID.shape_kji)
    kept = study.probability(MEMBERS[:2], study.mode).mean_kji
    assert kept.max() == pytest.approx(0.75 * 0.9)


def test_another_threshold_needs_no_other_inference():
    released = read_model_set(bundled_models_dir())
    point = OperatingPoint(threshold=0.55, minimum_component_voxels=2)
    other = ModelSet(released.folder, released.manifest.model_copy(update={"operating_point": point}))
    assert other.digest != released.digest
    assert digest_inference(other, "full", "f32") == digest_inference(released, "full", "f32")
    assert digest_inference(released, "full", "bf16") != digest_inference(released, "full", "f32")
    assert digest_inference(released, "preview", "f32") != digest_inference(released, "full", "f32")

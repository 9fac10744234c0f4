from __future__ import annotations

import numpy as np
import pytest

from core.errors import InvalidInput
from core.settings import bundled_models_dir
from evaluation.figures.results import SkippedStudy
from evaluation.inference.cache import StudyCache, digest_inference, digest_source
from tests.evaluation.hand_made import GRID, MEMBERS, blobs, make_study
from tests.synthetic import make_grid
from worker.model_set import ModelSet, OperatingPoint, read_model_set
from worker.sessions import CPU, CUDA

FINE = make_grid((27, 62, 68), (1.5, 0.71, 0.71))


@pytest.fixture
def study():
    output = blobs([(20, 20, 20)], 3)
    reference = np.zeros(FINE.shape_kji, dtype=bool)
    reference[10:14, 30:35, 30:35] = True
    structures = np.full(FINE.shape_kji, 3, dtype=np.uint8)
    outputs = [output, 0.5 * output]
    return make_study(
        outputs, reference, source_grid=FINE, structures=structures, lesion_volumes_mm3={1: 61.5}
    )


def test_what_is_kept_is_what_comes_back(tmp_path, study):
    cache = StudyCache(tmp_path / "cache", "networks")
    cache.keep("case", study)
    back = cache.load("case")
    for name in (
        "name",
        "anatomy",
        "mode",
        "flags",
        "brain_volume_mm3",
        "seconds",
        "member_names",
        "lesion_volumes_mm3",
    ):
        assert getattr(back, name) == getattr(study, name)
    for name in ("voxels", "mean", "members", "reference_kji", "structures_kji"):
        np.testing.assert_array_equal(getattr(back, name), getattr(study, name))
    assert back.grid.is_close_to(study.grid, 0)
    assert back.source_grid.is_close_to(study.source_grid, 0)


def test_a_skipped_study_is_kept_with_its_reason(tmp_path):
    cache = StudyCache(tmp_path, "networks")
    for refused in (SkippedStudy("study", "", "nothing"), SkippedStudy("study", "", "nothing", (14.5, 60.0))):
        cache.keep("case", refused)
        assert cache.load("case") == refused


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
    assert digest_inference(other, "full", "f32", CPU) == digest_inference(released, "full", "f32", CPU)


def test_another_precision_profile_or_provider_is_another_inference():
    released = read_model_set(bundled_models_dir())
    digests = {
        digest_inference(released, "full", "f32", CPU),
        digest_inference(released, "full", "bf16", CPU),
        digest_inference(released, "preview", "f32", CPU),
        digest_inference(released, "full", "f32", CUDA),
    }
    assert len(digests) == 4


def test_other_code_is_another_inference(tmp_path):
    (tmp_path / "encoding").mkdir()
    (tmp_path / "lesions.py").write_text("THRESHOLD = 0.4\n", encoding="utf-8")
    first = digest_source(tmp_path)
    (tmp_path / "notes.txt").write_text("not code", encoding="utf-8")
    assert digest_source(tmp_path) == first
    (tmp_path / "lesions.py").write_text("THRESHOLD = 0.5\n", encoding="utf-8")
    assert digest_source(tmp_path) != first
    (tmp_path / "lesions.py").rename(tmp_path / "encoding" / "lesions.py")
    assert digest_source(tmp_path) != first


def test_outputs_near_1_are_kept_apart():
    outputs = np.zeros(GRID.shape_kji, dtype=np.float32)
    outputs[20, 20, 20:24] = (0.95, 0.99, 0.998, 0.9995)
    study = make_study([outputs], outputs > 2)
    assert len(np.unique(study.members[0])) == 4
    assert study.output(MEMBERS[:1]).max() == pytest.approx(0.9995, abs=1e-4)

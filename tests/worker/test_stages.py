from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from core.job import Stage
from core.study import AnalysisMode, SelectedSeries, Selection, SeriesRole
from core.study_store import StudyStore, sha256_of_file
from tests.synthetic import STUDY_UID
from worker.ensemble import Ensemble
from worker.loaded_models import LoadedModels
from worker.stage_context import StageContext, StageResult
from worker.stages import Stages

CREATED_AT = datetime(2026, 1, 2, tzinfo=UTC)


PUBLISHED = {"findings", "seg", "rtstruct", "sr", "overview", "pdf"}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> StudyStore:
    return StudyStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def finished(store, source_images, preview, brain) -> tuple[StageContext, StageResult]:
    """One job taken through its stages as the queue would, the preview set in its own shadow."""
    return run_stages(store, source_images, LoadedModels(preview, brain, threads=2, shadow=preview), "a")


def run_stages(store, images, models: LoadedModels, job_id: str) -> tuple[StageContext, StageResult]:
    stages = Stages(models, "0.1.0").by_stage()
    paths, selected = store_images(store, images)
    artefacts: dict[Stage, Path] = {}
    for fence, stage in enumerate(Stage, start=1):
        context = StageContext(
            job_id=job_id,
            study_instance_uid=STUDY_UID,
            revision=1,
            created_at=CREATED_AT,
            selection=Selection(AnalysisMode.FULL, selected, ()),
            instance_paths=paths,
            artefacts=dict(artefacts),
            work_folder=store.work_folder(job_id, fence),
            results_folder=store.results_folder(job_id, fence),
            store=store,
        )
        result = stages[stage](context, lambda _: None)
        artefacts[stage] = context.work_folder
    return context, result


def store_images(store, images) -> tuple[dict[str, str], tuple[SelectedSeries, ...]]:
    paths, selected = {}, []
    for role, datasets in ((SeriesRole.T1, images.t1), (SeriesRole.T1_POST, images.t1_post)):
        for dataset in datasets:
            temporary = store.temporary_path()
            dataset.save_as(temporary, enforce_file_format=True)
            relative = store.instance_path(STUDY_UID, str(dataset.SOPInstanceUID), "00")
            store.commit(temporary, relative)
            paths[str(dataset.SOPInstanceUID)] = relative
        uids = tuple(str(dataset.SOPInstanceUID) for dataset in datasets)
        selected.append(SelectedSeries(role, str(datasets[0].SeriesInstanceUID), uids))
    return paths, tuple(selected)


def test_stage_by_stage_gives_what_the_pipeline_gives_in_one_go(finished, analysed_study) -> None:
    _, result = finished
    assert result.report is not None
    assert result.report.lesions == analysed_study.analysis.report.lesions
    assert result.report.registration == analysed_study.analysis.report.registration


def test_results_are_the_bytes_that_were_checked(finished, store, analysed_study) -> None:
    _, result = finished
    for kind, encoded in analysed_study.analysis.encoded.objects.items():
        file = result.files[kind.value]
        assert sha256_of_file(store.resolve(file.path)) == file.sha256
        assert (
            dcmread(store.resolve(file.path)).SOPInstanceUID
            == file.sop_instance_uid
            == encoded.SOPInstanceUID
        )


def test_results_lie_in_the_folder_of_their_attempt(finished, store) -> None:
    context, result = finished
    for file in result.files.values():
        assert store.resolve(file.path).parent == context.results_folder


def test_the_shadow_set_leaves_its_findings_and_no_object(finished, store) -> None:
    _, result = finished
    assert set(result.files) == {*PUBLISHED, "shadow"}
    shadow = json.loads(store.resolve(result.files["shadow"].path).read_text())
    released = json.loads(store.resolve(result.files["findings"].path).read_text())
    assert shadow["lesions"] == released["lesions"], "the same set found the same lesions"


class BrokenEnsemble:
    """A shadow set that fails, in inference or after it."""

    def __init__(self, released: Ensemble, *, infers: bool) -> None:
        self._released = released
        self._infers = infers

    def predict(self, prepared):
        if self._infers:
            return self._released.predict(prepared)
        raise MemoryError

    @property
    def identity(self):
        raise RuntimeError("no identity")


@pytest.mark.parametrize("infers", [False, True])
def test_a_shadow_set_that_fails_costs_nothing_but_its_findings(
    store, source_images, preview, brain, infers
) -> None:
    shadow = BrokenEnsemble(preview, infers=infers)
    models = LoadedModels(preview, brain, threads=2, shadow=shadow)
    _, result = run_stages(store, source_images, models, f"broken-{infers}")
    assert set(result.files) == PUBLISHED

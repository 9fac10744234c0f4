"""Stages that take no time: what a queue, a lease and a delivery do does not depend on what is computed.

Each stage reads what the one before it wrote, as the real ones do, and the last one publishes a
segmentation and a report that were encoded once and get the study's own UIDs.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

from pydicom import Dataset

from core.errors import Defect
from core.job import Stage
from core.lesion import FindingsReport
from core.results import ResultKind
from core.study import SeriesRole
from core.uids import derive_uid
from tests.encoded_study import make_study
from worker.stage_context import ReportProgress, StageContext, StageFunction, StageResult
from worker.stages import write_results

ARTEFACT = "quick.txt"


def quick_stages() -> dict[Stage, StageFunction]:
    """Return the stages."""
    return {Stage.PREPARE: prepare, Stage.INFER: infer, Stage.ENCODE: encode}


def prepare(context: StageContext, report: ReportProgress) -> StageResult:
    """Read every instance the job is bound to, and write down how many there are."""
    images = context.read_images(with_pixels=True)
    count = len(images.t1_post) + len(images.t1 or ())
    (context.work_folder / ARTEFACT).write_text(str(count), encoding="ascii")
    report(1.0)
    return StageResult()


def infer(context: StageContext, report: ReportProgress) -> StageResult:
    """Hand the artefact on."""
    text = (context.artefacts[Stage.PREPARE] / ARTEFACT).read_text(encoding="ascii")
    (context.work_folder / ARTEFACT).write_text(text, encoding="ascii")
    report(1.0)
    return StageResult()


def encode(context: StageContext, _report: ReportProgress) -> StageResult:
    """Publish the objects of this study and revision."""
    read = int((context.artefacts[Stage.INFER] / ARTEFACT).read_text(encoding="ascii"))
    bound = sum(len(series.sop_instance_uids) for series in context.selection.selected)
    if read != bound:
        raise Defect(f"{read} instances were read, the job is bound to {bound}")
    findings, objects = _of_this_study(context)
    files = write_results(
        context.store.root, context.results_folder, findings, SimpleNamespace(objects=objects)
    )
    return StageResult(report=findings, files=files)


@lru_cache(maxsize=1)
def _template() -> tuple[FindingsReport, dict[ResultKind, Dataset]]:
    study = make_study()
    objects = study.encode().objects
    return study.report, {kind: objects[kind] for kind in (ResultKind.SEG, ResultKind.SR)}


def _of_this_study(context: StageContext) -> tuple[FindingsReport, dict[ResultKind, Dataset]]:
    report, objects = _template()
    uid, revision = context.study_instance_uid, context.revision
    series = context.selection.series_for(SeriesRole.T1_POST)
    assert series is not None
    report = replace(
        report,
        study_instance_uid=uid,
        series_instance_uid=series.series_instance_uid,
        revision=revision,
    )
    return report, {kind: _renamed(dataset, kind, uid, revision) for kind, dataset in objects.items()}


def _renamed(dataset: Dataset, kind: ResultKind, study_instance_uid: str, revision: int) -> Dataset:
    own = copy.copy(dataset)
    own.StudyInstanceUID = study_instance_uid
    own.SeriesInstanceUID = derive_uid("chaos series", study_instance_uid, str(revision), kind.value)
    own.SOPInstanceUID = derive_uid("chaos object", study_instance_uid, str(revision), kind.value)
    own.file_meta = copy.copy(dataset.file_meta)
    own.file_meta.MediaStorageSOPInstanceUID = own.SOPInstanceUID
    return own

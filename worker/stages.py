"""The three stages as the queue runs them: artefacts in, artefacts out.

Together they are ``worker.pipeline.analyze``: the same functions in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from core.job import Stage
from core.job_records import REPORT, ResultFile
from core.lesion import FindingsReport
from core.logs import logger
from core.provenance import Provenance
from core.study_store import atomic_file
from worker.artefacts import load_prepared, load_probability, save_prepared, save_probability
from worker.encoding import DEFAULT_SITE, EncodedResults, SiteChoices, to_bytes
from worker.ensemble import Ensemble, LesionProbability
from worker.loaded_models import LoadedModels
from worker.pipeline import build_report, encode_findings, find
from worker.preprocessing import PreparedVolumes, prepare
from worker.stage_context import ReportProgress, StageContext, StageFunction, StageResult

PREPARED = "prepared.npz"
PROBABILITY = "probability.npz"
SHADOW_PROBABILITY = "shadow-probability.npz"
FINDINGS_SOP_CLASS = ""
"""findings.json is no DICOM object."""


@dataclass(frozen=True)
class Stages:
    """The work of a worker process.

    Parameters
    ----------
    models
        Loaded in this process.
    software_version
        metserve's own.
    site
        What the site chose about its results.
    """

    models: LoadedModels
    software_version: str
    site: SiteChoices = DEFAULT_SITE

    def by_stage(self) -> Mapping[Stage, StageFunction]:
        """Return the function of each stage."""
        return {Stage.PREPARE: self.prepare, Stage.INFER: self.infer, Stage.ENCODE: self.encode}

    def prepare(self, context: StageContext, report: ReportProgress) -> StageResult:
        """Datasets -> PreparedVolumes."""
        images = context.read_images(with_pixels=True)
        report(0.2)
        spec = self.models.ensemble.input_spec
        prepared = prepare(images, self.models.brain, spec, self.models.threads)
        save_prepared(prepared, context.work_folder / PREPARED)
        return StageResult()

    def infer(self, context: StageContext, report: ReportProgress) -> StageResult:
        """Predict with every member; the shadow set, if there is one, comes second."""
        prepared = load_prepared(context.artefacts[Stage.PREPARE] / PREPARED)
        probability = self.models.ensemble.predict(prepared, report)
        save_probability(probability, context.work_folder / PROBABILITY)
        if self.models.shadow is not None:
            with _shadow_only("infer"):
                shadow = self.models.shadow.predict(prepared)
                save_probability(shadow, context.work_folder / SHADOW_PROBABILITY)
        return StageResult()

    def encode(self, context: StageContext, report: ReportProgress) -> StageResult:
        """Find lesions, write the DICOM objects, and the findings as JSON."""
        prepared = load_prepared(context.artefacts[Stage.PREPARE] / PREPARED)
        folder = context.artefacts[Stage.INFER]
        probability = load_probability(folder / PROBABILITY)
        findings_report, encoded = self._encode(context, prepared, probability)
        report(0.8)
        files = write_results(context.store.root, context.results_folder, findings_report, encoded)
        if self.models.shadow is not None and (folder / SHADOW_PROBABILITY).exists():
            with _shadow_only("encode"):
                shadow = self._shadow_report(context, prepared, load_probability(folder / SHADOW_PROBABILITY))
                files["shadow"] = _write_json(
                    context.store.root, context.results_folder / "shadow.json", shadow
                )
        return StageResult(report=findings_report, files=files)

    def _encode(
        self, context: StageContext, prepared: PreparedVolumes, probability: LesionProbability
    ) -> tuple[FindingsReport, EncodedResults]:
        images = context.read_images(with_pixels=True)
        ensemble, provenance = self.models.ensemble, self._provenance(context, self.models.ensemble)
        findings = find(probability, prepared, ensemble, provenance)
        report = build_report(
            findings, prepared, ensemble, provenance, _series_uid(images.t1_post), context.selection.flags
        )
        encoded = encode_findings(
            images,
            prepared,
            probability,
            findings,
            report,
            provenance,
            site=self.site,
            predecessor=context.read_predecessor(),
            superseded=context.read_superseded() if self.site.rejection_note else (),
        )
        return report, encoded

    def _shadow_report(
        self, context: StageContext, prepared: PreparedVolumes, probability: LesionProbability
    ) -> FindingsReport:
        assert self.models.shadow is not None  # noqa: S101 - the caller looked
        provenance = self._provenance(context, self.models.shadow)
        findings = find(probability, prepared, self.models.shadow, provenance)
        series_uid = _series_uid(context.read_images(with_pixels=False).t1_post)
        return build_report(findings, prepared, self.models.shadow, provenance, series_uid)

    def _provenance(self, context: StageContext, ensemble: Ensemble) -> Provenance:
        return Provenance(
            study_instance_uid=context.study_instance_uid,
            revision=context.revision,
            model=ensemble.identity,
            software_version=self.software_version,
            created_at=context.created_at,
        )


@contextmanager
def _shadow_only(stage: str) -> Iterator[None]:
    """Let no failure of the shadow set reach the released job."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever the shadow raises, the job goes on
        logger().warning("shadow set failed", stage=stage, error_class=type(error).__name__)


def write_results(
    root: Path, folder: Path, report: FindingsReport, encoded: EncodedResults
) -> dict[str, ResultFile]:
    """Write an analysis' objects into a folder, each whole or not at all.

    Parameters
    ----------
    root
        The paths returned are relative to it.
    """
    files = {"findings": _write_json(root, folder / "findings.json", report)}
    for kind, dataset in encoded.objects.items():
        files[kind.value] = _write_object(root, folder / f"{kind.value}.dcm", dataset)
    return files


def _write_object(root: Path, path: Path, dataset: Dataset) -> ResultFile:
    return _write(root, path, to_bytes(dataset), str(dataset.SOPInstanceUID), str(dataset.SOPClassUID))


def _write_json(root: Path, path: Path, report: FindingsReport) -> ResultFile:
    return _write(root, path, REPORT.dump_json(report, indent=2), "", FINDINGS_SOP_CLASS)


def _write(root: Path, path: Path, content: bytes, sop_instance_uid: str, sop_class_uid: str) -> ResultFile:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return ResultFile(
        path=path.resolve().relative_to(root.resolve()).as_posix(),
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=sop_class_uid,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def _series_uid(datasets: tuple[Dataset, ...]) -> str:
    return str(datasets[0].SeriesInstanceUID)

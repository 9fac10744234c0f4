"""A phantom study and the results of it, without inference: its lesions are known, so they are encoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from core.destinations import DicomDestination
from core.lesion import FindingsReport, ModelIdentity
from core.provenance import Provenance
from core.results import ResultKind
from core.study import AnalysisMode, SeriesRole
from service.delivery.association import Caller
from service.delivery.push import push
from service.delivery.results import ResultObject
from tests.system.peers import Archive
from tests.system.studies import WrittenStudy
from worker.encoding import EncodedResults, EncodingSources, encode, to_bytes
from worker.encoding.encode import Pictures, SiteChoices
from worker.ensemble import LesionProbability
from worker.lesions import Findings, find_lesions
from worker.model_set import OperatingPoint
from worker.pipeline import identify_lesion
from worker.volumes import Volume, load_volume

MODEL = ModelIdentity("known-truth", "2026.11.0", "cd" * 32, "full")
CREATED_AT = datetime(2026, 11, 23, 10, 30, 15, tzinfo=UTC)
THRESHOLD, LESION, BACKGROUND = 0.5, 0.9, 0.1
"""What a network sure of the truth would put out."""

PUSH_LIMIT_S = 60.0

EVERY_RESULT = SiteChoices(probability_map=True)
"""A site that wants all that can be written of a first revision."""


@dataclass(frozen=True)
class KnownResults:
    """The objects of one study, as datasets and as files."""

    study: WrittenStudy
    findings: Findings
    encoded: EncodedResults
    folder: Path

    def file(self, kind: ResultKind) -> Path:
        return self.folder / f"{kind.value}.dcm"


def write_known_results(study: WrittenStudy, folder: Path, site: SiteChoices = EVERY_RESULT) -> KnownResults:
    """Encode the truth about a phantom with every picture, and write an object a file."""
    t1_post, t1 = (_read(study, role) for role in (SeriesRole.T1_POST, SeriesRole.T1))
    volume = load_volume(t1_post)
    provenance = Provenance(study.study_instance_uid, 1, MODEL, "0.1.0", CREATED_AT)
    probability = _certain_of(study, volume)
    findings = find_lesions(
        probability,
        volume.grid,
        OperatingPoint(threshold=THRESHOLD, minimum_component_voxels=1),
        partial(identify_lesion, provenance),
    )
    report = _report(findings, provenance, str(t1_post[0].SeriesInstanceUID))
    sources = EncodingSources(t1_post, t1, volume.slices)
    pictures = Pictures(volume.voxels_kji, probability.mean_kji)
    encoded = encode(findings, report, sources, provenance, pictures, site)
    results = KnownResults(study, findings, encoded, folder)
    folder.mkdir()
    for kind, dataset in encoded.objects.items():
        results.file(kind).write_bytes(to_bytes(dataset))
    return results


def deliver(results: KnownResults, archive: Archive) -> None:
    """Push the objects as the service does: dcmtk's storescu does not know all their classes."""
    peer = DicomDestination(name="pacs", ae_title=archive.AE_TITLE, host="127.0.0.1", port=archive.dicom_port)
    objects = [_as_published(results, kind) for kind in results.encoded.objects]
    report = push(objects, peer, Caller("METSERVE", PUSH_LIMIT_S))
    assert (report.verdict, report.message) == ("stored", "")


def _as_published(results: KnownResults, kind: ResultKind) -> ResultObject:
    dataset, path = results.encoded.objects[kind], results.file(kind)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return ResultObject(kind.value, path, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), sha256)


def _read(study: WrittenStudy, role: SeriesRole) -> tuple[Dataset, ...]:
    return tuple(dcmread(path) for path in study.series(role))


def _certain_of(study: WrittenStudy, volume: Volume) -> LesionProbability:
    truth = study.phantom.truth.label_map > 0
    mean = np.where(truth, LESION, BACKGROUND).astype(np.float32)
    assert mean.shape == volume.voxels_kji.shape, "the phantom is written as it is"
    return LesionProbability(
        grid=volume.grid,
        mean_kji=mean,
        member_names=("truth",),
        members_kji=(mean.astype(np.float16),),
        brain_mask_kji=np.ones_like(truth),
        mode=AnalysisMode.FULL,
    )


def _report(findings: Findings, provenance: Provenance, series_instance_uid: str) -> FindingsReport:
    return FindingsReport(
        study_instance_uid=provenance.study_instance_uid,
        series_instance_uid=series_instance_uid,
        revision=provenance.revision,
        mode=AnalysisMode.FULL,
        threshold=THRESHOLD,
        model=provenance.model,
        lesions=findings.lesions,
        flags=(),
        registration=None,
        brain_volume_mm3=1_400_000.0,
        software_version=provenance.software_version,
    )

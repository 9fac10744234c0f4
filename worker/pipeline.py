"""The whole analysis, one call a stage: the page to read first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pydicom import Dataset

from core.lesion import FindingsReport
from core.provenance import Provenance
from core.study import QualityFlag
from worker.brain import BrainExtraction
from worker.encoding import DEFAULT_SITE, EncodedResults, EncodingSources, Pictures, SiteChoices, encode
from worker.encoding.segmentation.probability import probability_on_source
from worker.ensemble import Ensemble, LesionProbability
from worker.lesions import Findings, find_lesions
from worker.model_set import FULL_PROFILE
from worker.places.locate import locate_lesions
from worker.preprocessing import PreparedVolumes, prepare
from worker.volumes import SourceImages, load_volume

Progress = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0..1."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was found, and the DICOM objects that say so.

    Parameters
    ----------
    prepared
        The volumes the lesions were found in.
    findings, report
        The lesions as voxels, and as words and numbers.
    encoded
        The DICOM objects, read back and checked.
    """

    prepared: PreparedVolumes
    findings: Findings
    report: FindingsReport
    encoded: EncodedResults


def analyze(
    images: SourceImages,
    ensemble: Ensemble,
    brain: BrainExtraction,
    provenance: Provenance,
    on_progress: Progress,
    *,
    flags: tuple[QualityFlag, ...] = (),
    threads: int = 2,
    site: SiteChoices = DEFAULT_SITE,
) -> Analysis:
    """Study in, findings and DICOM objects out.

    Parameters
    ----------
    images
        The instances the job is bound to.
    ensemble, brain
        Loaded in this process.
    provenance
        Identity of the analysis; nothing else names the results.
    on_progress
        Told the name of every stage.
    flags
        Remarks made when the series were selected.
    threads
        Of the registration; the result does not depend on it.
    site
        What the site chose about its results.

    Raises
    ------
    UnsuitableStudy
        The study cannot be analysed.
    Defect
        An object read back does not say what was found.
    """
    on_progress("prepare", 0.0)
    prepared = prepare(images, brain, ensemble.input_spec, threads)
    on_progress("infer", 0.0)
    probability = ensemble.predict(prepared, partial(on_progress, "infer"))
    on_progress("find", 0.0)
    findings = find(probability, prepared, ensemble, provenance)
    series_instance_uid = str(images.t1_post[0].SeriesInstanceUID)
    report = build_report(findings, prepared, ensemble, provenance, series_instance_uid, flags)
    on_progress("encode", 0.0)
    encoded = encode_findings(images, prepared, probability, findings, report, provenance, site=site)
    return Analysis(prepared, findings, report, encoded)


def find(
    probability: LesionProbability, prepared: PreparedVolumes, ensemble: Ensemble, provenance: Provenance
) -> Findings:
    """Outline, measure, name and place the lesions."""
    operating_point = ensemble.operating_point(probability.mode)
    findings = find_lesions(
        probability, prepared.source_grid, operating_point, partial(identify_lesion, provenance)
    )
    return locate_lesions(findings, prepared)


def encode_findings(
    images: SourceImages,
    prepared: PreparedVolumes,
    probability: LesionProbability,
    findings: Findings,
    report: FindingsReport,
    provenance: Provenance,
    *,
    site: SiteChoices = DEFAULT_SITE,
    predecessor: Dataset | None = None,
    superseded: tuple[Dataset, ...] = (),
) -> EncodedResults:
    """Write the DICOM objects against the images they refer to.

    Parameters
    ----------
    images
        T1-post with its pixels, which the overview shows; of T1 the headers are enough.
    predecessor
        The report of an earlier revision that this one supersedes.
    superseded
        Headers of everything older revisions published, where the site wants it rejected.
    """
    sources = EncodingSources(images.t1_post, images.t1, prepared.source_slices, predecessor, superseded)
    shown_kji = probability_on_source(probability, prepared.source_grid) if site.probability_map else None
    pictures = Pictures(load_volume(images.t1_post).voxels_kji, shown_kji)
    return encode(findings, report, sources, provenance, pictures, site)


def identify_lesion(provenance: Provenance, number: int) -> tuple[str, str]:
    """Name a lesion: BM-01 and so on, and a UID that a repeated analysis gives again."""
    return f"BM-{number:02d}", provenance.uid("lesion", str(number))


def build_report(
    findings: Findings,
    prepared: PreparedVolumes,
    ensemble: Ensemble,
    provenance: Provenance,
    series_instance_uid: str,
    flags: tuple[QualityFlag, ...] = (),
) -> FindingsReport:
    """Say everything about the analysis but its voxels.

    Parameters
    ----------
    series_instance_uid
        Of the T1-post series.
    flags
        Remarks from earlier; those of the preparation and of the profile are added, each once.
    """
    profile_flags = () if provenance.model.profile == FULL_PROFILE else (QualityFlag.PREVIEW_PROFILE,)
    return FindingsReport(
        study_instance_uid=provenance.study_instance_uid,
        series_instance_uid=series_instance_uid,
        revision=provenance.revision,
        mode=prepared.mode,
        threshold=ensemble.operating_point(prepared.mode).threshold,
        model=provenance.model,
        lesions=findings.lesions,
        flags=tuple(dict.fromkeys((*flags, *prepared.flags, *profile_flags))),
        registration=prepared.registration,
        brain_volume_mm3=prepared.brain_volume_mm3,
        software_version=provenance.software_version,
    )

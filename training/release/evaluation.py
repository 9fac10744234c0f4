"""The evaluation a release stands on: read, checked to be of this very set, summarised."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from core.errors import InvalidInput
from evaluation.figures.results import EvaluationResults, Header
from worker.model_evidence import MeasuredEvaluation, Sensitivity
from worker.model_set import FULL_PROFILE, ModelSet

DECIMALS = 4
"""Of the manifest's figures: more than any cohort can tell apart."""

HOW_TO_MEASURE = (
    "release the set with --unmeasured into a folder of its own, run `metserve evaluate --models FOLDER "
    "--cohort evaluation/cohorts/synthetic/frozen/frozen.toml --out DIR`, "
    "then release with --evaluation DIR/results.json"
)


def read_evaluation(path: Path) -> EvaluationResults:
    """Read results.json of ``metserve evaluate``.

    Raises
    ------
    InvalidInput
        It cannot be read, or is something else.
    """
    try:
        return EvaluationResults.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise InvalidInput(f"{path} is no results.json of metserve evaluate: {error}") from error


def check_is_of(results: EvaluationResults, model_set: ModelSet) -> None:
    """Check that an evaluation measured this set, as the service runs it.

    Raises
    ------
    InvalidInput
        Other files, thresholds or members were measured, or another profile; or nothing was.
    """
    check_profile(results)
    header = results.header
    if header.model_digest != model_set.digest:
        raise InvalidInput(
            f"the evaluation measured a set with digest {header.model_digest}, expected {model_set.digest}: "
            f"files, thresholds or settings differ. To measure this set: {HOW_TO_MEASURE}"
        )
    if header.n_studies == 0:
        raise InvalidInput(f"the evaluation of {header.cohort} measured no study, expected at least one")


def check_profile(results: EvaluationResults) -> None:
    """Check that all members were measured.

    Raises
    ------
    InvalidInput
        Another profile was.
    """
    if results.header.profile != FULL_PROFILE:
        raise InvalidInput(f"profile {results.header.profile!r} was measured, expected {FULL_PROFILE!r}")


def is_partial(header: Header) -> bool:
    """Tell whether studies of the cohort may be missing; so they may where nobody knows how many it has."""
    return header.n_cases is None or header.n_studies + len(header.skipped) < header.n_cases


def summarise(results: EvaluationResults, trained_on: frozenset[str]) -> MeasuredEvaluation:
    """Return the figures a manifest shows.

    Parameters
    ----------
    trained_on
        Names of heads and patients the members have seen.
    """
    header, summary = results.header, results.summary
    anatomies = {study.anatomy for study in results.released.studies}
    return MeasuredEvaluation(
        measured=True,
        model_digest=header.model_digest,
        cohort=header.cohort,
        cohort_digest=header.cohort_digest,
        origin=header.origin,
        precision=header.precision,
        partial=is_partial(header),
        software_version=header.software_version,
        n_studies=summary.n_studies,
        n_lesions=summary.n_lesions,
        n_refused=len(header.skipped),
        n_anatomies=len(anatomies),
        n_anatomies_trained_on=len(anatomies & trained_on),
        false_positives_per_scan=round(summary.fp_per_scan, DECIMALS),
        ppv=_rounded(summary.ppv),
        median_dice=_rounded(summary.median_dice),
        median_hd95_mm=_rounded(summary.median_hd95_mm),
        volume_r=_rounded(summary.volume_r),
        count_r=_rounded(summary.count_r),
        sensitivity=_sensitivity(results),
    )


def _sensitivity(results: EvaluationResults) -> Sensitivity:
    found = results.summary.sensitivity
    return Sensitivity(
        all=_rounded(found.all),
        ge_3mm=_rounded(found.ge_3mm),
        ge_5mm=_rounded(found.ge_5mm),
        ge_6mm=_rounded(found.ge_6mm),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)

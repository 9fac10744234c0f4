"""Where a released model set comes from and what was measured with it: tables that change no result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]


class ManifestTable(BaseModel):
    """A table of the manifest: frozen, and a key nobody reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberTraining(ManifestTable):
    """How one network was trained.

    Parameters
    ----------
    seed
        Of everything random in its training.
    n_patches, patch_voxels
        Patches it saw, and their edge.
    final_loss
        Its own loss over the last steps; losses of different kinds do not compare. Absent where no log is.
    n_studies
        It drew patches from, at the end.
    recipes
        What made them: SHA-256 over every knob of the synthesis, or a word on where scans came from.
    commit
        Version of the code that trained it.
    """

    seed: int
    n_patches: Annotated[int, Field(ge=1)]
    patch_voxels: Annotated[int, Field(ge=1)]
    final_loss: float | None = None
    n_studies: Annotated[int, Field(ge=1)]
    recipes: Annotated[tuple[Name, ...], Field(min_length=1)]
    commit: Name


class Trunk(MemberTraining):
    """A network of the same run that is no member: what the members of one input began with."""

    name: Name


class ThresholdChoice(ManifestTable):
    """The validation that suggested the operating points.

    Parameters
    ----------
    cohort, cohort_digest, origin
        Identity of its studies; the evaluation is of others.
    precision
        Of its inference.
    n_studies, partial
        Measured; and whether the cohort has more, or nobody knows.
    max_fp_per_scan
        False positives a scan that were allowed.
    """

    cohort: Name
    cohort_digest: Sha256
    origin: Literal["synthetic", "patients"]
    precision: Name
    n_studies: Count
    partial: bool
    max_fp_per_scan: Annotated[float, Field(ge=0)]


class TrainingFacts(ManifestTable):
    """What all members together were trained on.

    Parameters
    ----------
    n_studies, n_lesions
        All studies a member drew from.
    n_anatomies
        Heads of the synthetic studies and patients of the imported ones; their names may be a patient's, so
        they are not given.
    n_imported
        Studies that are scans and not synthesised.
    recipes
        See ``MemberTraining``.
    trunks
        Trained in the same run.
    thresholds
        What chose the operating points; None where a person did.
    """

    n_studies: Annotated[int, Field(ge=1)]
    n_lesions: Count
    n_anatomies: Annotated[int, Field(ge=1)]
    n_imported: Count
    recipes: Annotated[tuple[Name, ...], Field(min_length=1)]
    trunks: tuple[Trunk, ...] = ()
    thresholds: ThresholdChoice | None = None


class Sensitivity(ManifestTable):
    """Detected share of the reference lesions, by equivalent diameter."""

    all: Share | None = None
    ge_3mm: Share | None = None
    ge_5mm: Share | None = None
    ge_6mm: Share | None = None


class MeasuredEvaluation(ManifestTable):
    """The summary of one evaluation; a figure with nothing to divide by is absent.

    Parameters
    ----------
    model_digest
        Of the set that was measured. If it is not this set's digest, a value that changes results was edited
        after the release, and the figures are not this set's.
    cohort, cohort_digest, origin
        Identity of the studies; ``synthetic`` or ``patients``.
    precision
        Of the inference; bf16 where it was measured faster than the service runs.
    partial
        Some studies of the cohort took no part, or nobody knows whether all did.
    software_version
        Of metserve.
    n_studies, n_lesions, n_refused
        Measured; and studies the service turns down, which were not.
    n_anatomies, n_anatomies_trained_on
        Heads or patients measured, and how many of them the members had seen: 0 is a held-out measurement.
    sensitivity
        Of all scans together.
    false_positives_per_scan, ppv
        PPV as the paper counts: detected lesions / (those + false positives).
    median_dice, median_hd95_mm
        Of a scan; of detected lesions, from prediction to reference.
    volume_r, count_r
        Pearson, found against reference, totals of a scan.
    """

    measured: Literal[True]
    model_digest: Sha256
    cohort: Name
    cohort_digest: Sha256
    origin: Literal["synthetic", "patients"]
    precision: Name
    partial: bool = False
    software_version: Name
    n_studies: Count
    n_lesions: Count
    n_refused: Count
    n_anatomies: Count
    n_anatomies_trained_on: Count
    false_positives_per_scan: Annotated[float, Field(ge=0)]
    ppv: Share | None = None
    median_dice: Share | None = None
    median_hd95_mm: Annotated[float, Field(ge=0)] | None = None
    volume_r: Correlation | None = None
    count_r: Correlation | None = None
    sensitivity: Sensitivity


class NoEvaluation(ManifestTable):
    """The set was released without a measurement, and says so."""

    measured: Literal[False]


Evaluation = Annotated[MeasuredEvaluation | NoEvaluation, Field(discriminator="measured")]

"""Operating points that an evaluation suggested, and the record of what they were chosen on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInput
from evaluation.figures.results import EvaluationResults, OperatingPointChoice
from training.release.evaluation import check_profile, is_partial, read_evaluation
from training.release.order import OperatingPoints
from worker.model_evidence import ThresholdChoice
from worker.model_set import Manifest, ModelSet, OperatingPoint

WITH_ALL, WITHOUT_T1 = "all", "t1_post"
"""Names of the two ensembles the service runs, as sweeps and suggestions have them."""


@dataclass(frozen=True)
class SuggestedPoints:
    """What a validation suggested.

    Parameters
    ----------
    path
        Of its results.
    results
        As they were read.
    """

    path: Path
    results: EvaluationResults

    @classmethod
    def read(cls, path: Path) -> SuggestedPoints:
        """Read results.json of ``metserve evaluate``.

        Raises
        ------
        InvalidInput
            It cannot be read, or measured another profile than the service's.
        """
        results = read_evaluation(path)
        check_profile(results)
        return cls(path, results)

    @property
    def points(self) -> OperatingPoints:
        """Those for all members, and for those of T1-post alone; InvalidInput without either."""
        both, alone = self._choice(WITH_ALL), self._choice(WITHOUT_T1)
        return OperatingPoints(
            threshold=both.threshold,
            minimum_component_voxels=both.minimum_component_voxels,
            t1_post_only_threshold=alone.threshold,
            t1_post_only_minimum_component_voxels=alone.minimum_component_voxels,
        )

    @property
    def record(self) -> ThresholdChoice:
        """What the manifest says of it."""
        header = self.results.header
        return ThresholdChoice(
            cohort=header.cohort,
            cohort_digest=header.cohort_digest,
            origin=header.origin,
            precision=header.precision,
            n_studies=header.n_studies,
            partial=is_partial(header),
            max_fp_per_scan=self._choice(WITH_ALL).max_fp_per_scan,
        )

    def check_is_of(self, manifest: Manifest) -> None:
        """Check that these networks were validated; their thresholds then were others.

        Raises
        ------
        InvalidInput
            Files or settings differ.
        """
        released, alone = self.results.released, self.results.t1_post_only
        if alone is None:
            raise InvalidInput(f"{self.path} measured no operating point without T1, expected one")
        then = manifest.model_copy(
            update={
                "operating_point": _point(released.threshold, released.minimum_component_voxels),
                "operating_point_t1_post_only": _point(alone.threshold, alone.minimum_component_voxels),
            }
        )
        expected, found = ModelSet(Path(), then).digest, self.results.header.model_digest
        if found != expected:
            raise InvalidInput(
                f"{self.path} is of a set with digest {found}, expected {expected}: these networks with the "
                "thresholds they had then"
            )

    def check_is_apart_from(self, evidence: EvaluationResults) -> None:
        """Check that the figures of a release do not come from the cohort that chose its thresholds.

        Raises
        ------
        InvalidInput
            They do.
        """
        if evidence.header.cohort_digest == self.results.header.cohort_digest:
            raise InvalidInput(
                f"thresholds and evaluation are both of cohort {evidence.header.cohort} (digest "
                f"{evidence.header.cohort_digest}), expected an evaluation on studies that chose nothing"
            )

    def _choice(self, ensemble: str) -> OperatingPointChoice:
        for choice in self.results.choices:
            if choice.ensemble == ensemble and choice.threshold is not None:
                return choice
        raise InvalidInput(f"{self.path} suggests no operating point for {ensemble!r}, expected one")


def _point(threshold: float, minimum_component_voxels: int) -> OperatingPoint:
    return OperatingPoint(threshold=threshold, minimum_component_voxels=minimum_component_voxels)

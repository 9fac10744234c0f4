"""Cohort -> StoredStudy, one at a time: the service's own preparation and inference, each study once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from core.errors import InvalidInput, UnsuitableStudy
from evaluation.cohorts.case import Case, Cohort
from evaluation.cohorts.imported.cohort import skipped
from evaluation.figures.results import SkippedStudy
from evaluation.inference.cache import StudyCache
from evaluation.inference.preparation import Preparation
from evaluation.inference.stored_study import StoredStudy, reference_sizes_mm3, store
from worker.ensemble import Ensemble

Stopwatch = Callable[[], float]
"""Seconds since some moment that does not change."""

OnStudy = Callable[[str, bool], None]
"""Called before each study with its name, and whether it only has to be read."""


@dataclass(frozen=True)
class Analyser:
    """The networks of one profile, loaded, and how they are run.

    Parameters
    ----------
    preparation
        The service's own, or as imported studies need it.
    threads
        Of the registration.
    stopwatch
        Measures preparation and inference.
    """

    ensemble: Ensemble
    preparation: Preparation
    threads: int
    stopwatch: Stopwatch

    def run(self, case: Case) -> StoredStudy | SkippedStudy:
        """Prepare a study and run every member over it; a study the service would refuse is skipped."""
        start = self.stopwatch()
        try:
            prepared = self.preparation.prepare(case.t1_post, case.t1, self.threads)
        except UnsuitableStudy as error:
            return replace(skipped(case.name, error), lesion_volumes_mm3=reference_sizes_mm3(case))
        probability = self.ensemble.predict(prepared)
        return store(case, prepared, probability, self.stopwatch() - start)


def run_cohort(
    cohort: Cohort,
    case_names: Sequence[str],
    open_analyser: Callable[[], Analyser],
    cache: StudyCache,
    on_study: OnStudy = lambda _name, _kept: None,
) -> Iterator[StoredStudy | SkippedStudy]:
    """Yield every study, from the cache where it is kept; what is run is kept before it is yielded.

    A run that is cut short loses the study under way; the next one goes on from there.

    Parameters
    ----------
    open_analyser
        Loads the networks; called when the first study has to be run, if any has.
    """
    open_once = lru_cache(maxsize=1)(open_analyser)
    for name in case_names:
        digest = cohort.case_digest(name)
        study = cache.load(digest)
        on_study(name, study is not None)
        if study is None:
            case = _make(cohort, name)
            if isinstance(case, SkippedStudy):
                yield case  # not kept: reading it again costs little, and its files may be mended
                continue
            study = open_once().run(case)
            cache.keep(digest, study)
        yield study


def _make(cohort: Cohort, name: str) -> Case | SkippedStudy:
    try:
        return cohort.make(name)
    except (InvalidInput, UnsuitableStudy) as error:
        return skipped(name, error)

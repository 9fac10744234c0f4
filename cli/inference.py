"""A model set ready to infer cohorts: what `metserve evaluate` and the benchmark on a real head share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from cli.analyze import with_cache_of_user
from core.settings import WorkerSettings, bundled_models_dir
from evaluation.cohorts.case import Cohort
from evaluation.cohorts.imported.study import ImportOptions
from evaluation.evaluate import Contestant
from evaluation.figures.results import Precision, SkippedStudy
from evaluation.inference.cache import StudyCache, digest_inference
from evaluation.inference.preparation import Preparation
from evaluation.inference.runner import Analyser, run_cohort
from evaluation.inference.stored_study import StoredStudy
from worker.brain import NetworkBrainExtraction
from worker.ensemble import Ensemble
from worker.loaded_models import PROVIDERS
from worker.model_set import ModelSet, verify_model_set
from worker.sessions import Engine, choose_engine


@dataclass(frozen=True)
class Networks:
    """What is loaded once, and the threads it computes with."""

    ensemble: Ensemble
    brain: NetworkBrainExtraction
    threads: int

    def analyser(self, options: ImportOptions) -> Analyser:
        """Run them over the studies of a cohort with these options."""
        preparation = Preparation.of(options, self.brain, self.ensemble.input_spec)
        return Analyser(self.ensemble, preparation, self.threads, time.perf_counter)


@dataclass(frozen=True)
class Inference:
    """One ensemble and where its outputs are kept, for as many cohorts as are measured with it.

    Parameters
    ----------
    load_networks
        Called when the first study has to be run, if any has; loads them once.
    """

    contestant: Contestant
    cache: StudyCache
    load_networks: Callable[[], Networks]

    def run(
        self, cohort: Cohort, case_names: Sequence[str], options: ImportOptions, console: Console
    ) -> Iterator[StoredStudy | SkippedStudy]:
        """Yield the studies one at a time, saying before each which it is."""
        on_study = _reporter(len(case_names), console)
        return run_cohort(
            cohort, case_names, lambda: self.load_networks().analyser(options), self.cache, on_study
        )


def open_inference(
    settings: WorkerSettings, profile: str, precision: Precision, cache_folder: Path
) -> Inference:
    """Check the model set that is set, without loading its networks yet.

    Raises
    ------
    InvalidInput
        Model set, profile, device or precision cannot be used.
    """
    model_set = verify_model_set(settings.models_dir or bundled_models_dir())
    engine = _choose_engine(with_cache_of_user(settings), precision)
    digest = digest_inference(model_set, profile, precision, engine.provider)
    return Inference(
        contestant=Contestant(model_set, profile, precision, version("metserve")),
        cache=StudyCache(cache_folder, digest),
        load_networks=cache(partial(_load, model_set, profile, engine)),
    )


def _choose_engine(settings: WorkerSettings, precision: Precision) -> Engine:
    threads = settings.threads or os.cpu_count() or 1
    return choose_engine(threads, settings.cache_dir, PROVIDERS[settings.device], precision)


def _load(model_set: ModelSet, profile: str, engine: Engine) -> Networks:
    return Networks(
        ensemble=Ensemble.load(model_set, profile, engine),
        brain=NetworkBrainExtraction.load(model_set, engine),
        threads=engine.threads,
    )


def _reporter(total: int, console: Console) -> Callable[[str, bool], None]:
    done = 0

    def report(name: str, is_kept: bool) -> None:
        nonlocal done
        done += 1
        console.print(f"{done} of {total}: {name}{' (cached)' if is_kept else ''}", highlight=False)

    return report

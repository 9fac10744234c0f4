"""`metserve evaluate`: a cohort in; results and report out, and a cache to go on from after a stop."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from cli.analyze import with_cache_of_user
from cli.chosen_study import choose_dicom_study
from core.errors import InvalidInput
from core.headers import quiet_pydicom
from core.settings import WorkerSettings, bundled_models_dir
from evaluation.cache import StudyCache, digest_inference
from evaluation.case import Cohort
from evaluation.cohorts import Shard, open_cohort, select_cases
from evaluation.evaluate import MAX_FP_PER_SCAN, Contestant, evaluate
from evaluation.imported_preparation import Preparation
from evaluation.imported_study import read_options
from evaluation.report import write_report
from evaluation.results import EvaluationResults, Precision
from evaluation.runner import Analyser, run_cohort
from worker.brain import NetworkBrainExtraction
from worker.ensemble import Ensemble
from worker.loaded_models import PROVIDERS
from worker.model_set import FULL_PROFILE, ModelSet, verify_model_set
from worker.sessions import choose_engine

CACHE_NAME = "cache"
"""In the folder the command writes to: what was inferred."""


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What the command was asked for.

    Parameters
    ----------
    cohort, out, anatomies
        Paths; the last one only for synthetic cohorts.
    profile, precision
        Of the inference.
    limit, cases
        Fewer studies than the cohort has; None and empty take all.
    shard
        Infer this part and measure nothing: the parts of several processes fill one cache.
    max_fp_per_scan
        For the suggested operating points.
    """

    cohort: Path
    out: Path
    profile: str = FULL_PROFILE
    precision: Precision = "f32"
    anatomies: Path | None = None
    limit: int | None = None
    cases: tuple[str, ...] = ()
    shard: Shard | None = None
    max_fp_per_scan: float = MAX_FP_PER_SCAN

    @property
    def command(self) -> str:
        """What to type to get the same results; paths by their last name, they differ elsewhere."""
        words = ["metserve", "evaluate", "--cohort", self.cohort.name, "--out", self.out.name]
        words += ["--profile", self.profile, "--precision", self.precision]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        if self.cases:
            words += ["--cases", ",".join(self.cases)]
        return shlex.join(words)


def parse_precision(text: str) -> Precision:
    """Read the name of a precision.

    Raises
    ------
    InvalidInput
        There is none of that name.
    """
    known: tuple[Precision, ...] = get_args(Precision)
    for precision in known:
        if text == precision:
            return precision
    raise InvalidInput(f"precision {text!r} is unknown, expected one of {list(known)}")


def run_evaluation(
    request: EvaluationRequest, settings: WorkerSettings, console: Console
) -> EvaluationResults | None:
    """Infer what is not in the cache, measure, write and print; None for a part of the studies.

    Raises
    ------
    InvalidInput
        Cohort, cases, model set, profile or precision cannot be used.
    """
    quiet_pydicom()
    settings = with_cache_of_user(settings)
    model_set = verify_model_set(settings.models_dir or bundled_models_dir())
    contestant = Contestant(model_set, request.profile, request.precision, version("metserve"))
    cohort = open_cohort(request.cohort, request.anatomies, choose_dicom_study)
    names = select_cases(cohort, request.cases, request.limit, request.shard)
    digest = digest_inference(model_set, request.profile, request.precision)
    studies = run_cohort(
        cohort,
        names,
        lambda: _open_analyser(model_set, request, settings),
        StudyCache(request.out / CACHE_NAME, digest),
        _reporter(len(names), console),
    )
    if request.shard is not None:
        console.print(f"{sum(1 for _ in studies)} studies of part {request.shard.number} are in the cache")
        return None
    results = evaluate(cohort, studies, contestant, request.max_fp_per_scan)
    files = write_report(results, request.out, command=request.command)
    _print_summary(results, cohort, console)
    console.print("written: " + ", ".join(str(file) for file in files))
    return results


def _open_analyser(model_set: ModelSet, request: EvaluationRequest, settings: WorkerSettings) -> Analyser:
    threads = settings.threads or os.cpu_count() or 1
    engine = choose_engine(threads, settings.cache_dir, PROVIDERS[settings.device], request.precision)
    ensemble = Ensemble.load(model_set, request.profile, engine)
    brain = NetworkBrainExtraction.load(model_set, engine)
    return Analyser(
        ensemble=ensemble,
        preparation=Preparation.of(read_options(request.cohort), brain, ensemble.input_spec),
        threads=threads,
        stopwatch=time.perf_counter,
    )


def _reporter(total: int, console: Console) -> Callable[[str, bool], None]:
    done = 0

    def report(name: str, is_kept: bool) -> None:
        nonlocal done
        done += 1
        console.print(f"{done} of {total}: {name}{' (cached)' if is_kept else ''}", highlight=False)

    return report


def _print_summary(results: EvaluationResults, cohort: Cohort, console: Console) -> None:
    summary = results.summary
    table = Table(title=f"{cohort.name}: {summary.n_studies} studies", title_justify="left")
    for heading in ("figure", "value"):
        table.add_column(heading)
    for row in results.released.pooled.sensitivity:
        table.add_row(f"sensitivity {row.size}", f"{row.detected.events} of {row.detected.trials}")
    table.add_row("false positives per scan", f"{summary.fp_per_scan:.2f}")
    for name in ("ppv", "median_dice", "median_hd95_mm", "volume_r", "count_r"):
        value = getattr(summary, name)
        table.add_row(name, "none" if value is None else f"{value:.3f}")
    console.print(table)
    console.print(results.header.research_use)

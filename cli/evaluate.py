"""`metserve evaluate`: a cohort in; results and report out, and a cache to go on from after a stop."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from cli.chosen_study import choose_dicom_study
from cli.inference import Inference, open_inference
from core.errors import InvalidInput
from core.headers import quiet_pydicom
from core.settings import WorkerSettings
from evaluation.cohorts.case import Cohort
from evaluation.cohorts.case_store import keep_cases
from evaluation.cohorts.imported.study import ImportOptions, read_options
from evaluation.cohorts.opening import Shard, open_cohort, select_cases
from evaluation.evaluate import MAX_FP_PER_SCAN, add_stress, evaluate
from evaluation.figures.results import EvaluationResults, GroupSummary, Precision, SkippedStudy, Summary
from evaluation.inference.stored_study import StoredStudy
from evaluation.report import StressRun, write_report
from worker.model_set import FULL_PROFILE

CACHE_NAME = "cache"
"""In the folder the command writes to: what was inferred."""


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What the command was asked for.

    Parameters
    ----------
    cohort, out
        Paths.
    anatomy, keep_studies
        Folders of synthetic cohorts: their label maps, and where their studies are kept once made.
    profile, precision
        Of the inference.
    stress
        Path of a harder cohort, summarised by kind of study beside the first.
    limit, cases
        Fewer studies than a cohort has; None and empty take all. Cases are those of the first cohort.
    shard
        Infer this part and measure nothing: the parts of several processes fill one cache.
    max_fp_per_scan
        For the suggested operating points.
    """

    cohort: Path
    out: Path
    profile: str = FULL_PROFILE
    precision: Precision = "f32"
    anatomy: Path | None = None
    keep_studies: Path | None = None
    stress: Path | None = None
    limit: int | None = None
    cases: tuple[str, ...] = ()
    shard: Shard | None = None
    max_fp_per_scan: float = MAX_FP_PER_SCAN

    def command(self, models_dir: Path | None) -> str:
        """Return what to type to get the same results; paths by their last name, they differ elsewhere.

        Parameters
        ----------
        models_dir
            Of the settings; None is the set that comes with metserve.
        """
        paths = {"--anatomy": self.anatomy, "--models": models_dir, "--stress": self.stress}
        words = ["metserve", "evaluate", "--cohort", self.cohort.name, "--out", self.out.name]
        words += ["--profile", self.profile, "--precision", self.precision]
        for option, path in paths.items():
            words += [] if path is None else [option, path.name]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        if self.cases:
            words += ["--cases", ",".join(self.cases)]
        return shlex.join([*words, "--max-fp-per-scan", f"{self.max_fp_per_scan:g}"])


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
    chosen = _choose(request)
    inference = open_inference(settings, request.profile, request.precision, request.out / CACHE_NAME)
    if request.shard is not None:
        kept = sum(1 for studies in chosen for _ in studies.run(inference, console))
        console.print(f"{kept} studies of part {request.shard.number} are in the cache")
        return None
    results = _measure(chosen, inference, request, console)
    command = request.command(settings.models_dir)
    files = write_report(results, request.out, command=command, stress=stress_runs(results))
    _print_summary(results, console)
    console.print("written: " + ", ".join(str(file) for file in files))
    return results


def stress_runs(results: EvaluationResults) -> tuple[StressRun, ...]:
    """Lay out the report's stress table: first the same heads unstressed, by kind; empty without stress."""
    if all(group.cohort == results.header.cohort for group in results.groups):
        return ()
    return tuple(
        StressRun(_group_title(group), group.summary, group.with_refused) for group in results.groups
    )


@dataclass(frozen=True)
class _ChosenStudies:
    """What is run of one cohort, and how its studies are prepared."""

    cohort: Cohort
    case_names: tuple[str, ...]
    options: ImportOptions

    def run(self, inference: Inference, console: Console) -> Iterator[StoredStudy | SkippedStudy]:
        return inference.run(self.cohort, self.case_names, self.options, console)


def _choose(request: EvaluationRequest) -> tuple[_ChosenStudies, ...]:
    """Open the cohort and, if asked for, the one that stresses; nothing is run before both are known good."""
    asked = [(request.cohort, request.cases)]
    if request.stress is not None:
        asked.append((request.stress, ()))
    chosen = []
    for path, cases in asked:
        cohort = open_cohort(path, request.anatomy, choose_dicom_study)
        if request.keep_studies is not None and cohort.origin == "synthetic":
            cohort = keep_cases(cohort, request.keep_studies)
        names = select_cases(cohort, cases, request.limit, request.shard)
        chosen.append(_ChosenStudies(cohort, names, read_options(path)))
    if len({studies.cohort.name for studies in chosen}) < len(chosen):
        raise InvalidInput(f"{request.stress} is called {chosen[0].cohort.name} too, expected another cohort")
    return tuple(chosen)


def _measure(
    chosen: tuple[_ChosenStudies, ...], inference: Inference, request: EvaluationRequest, console: Console
) -> EvaluationResults:
    results, *stress = [
        evaluate(
            studies.cohort,
            studies.run(inference, console),
            inference.contestant,
            request.max_fp_per_scan,
        )
        for studies in chosen
    ]
    return add_stress(results, stress[0]) if stress else results


def _group_title(group: GroupSummary) -> str:
    refused = f" ({len(group.skipped)} refused)" if group.skipped else ""
    return group.name.replace("_", " ") + refused


def _print_summary(results: EvaluationResults, console: Console) -> None:
    summary = results.summary
    table = Table(title=f"{results.header.cohort}: {summary.n_studies} studies", title_justify="left")
    for heading in ("figure", "value"):
        table.add_column(heading)
    for row in results.released.pooled.sensitivity:
        table.add_row(f"sensitivity {row.size}", f"{row.detected.events} of {row.detected.trials}")
    table.add_row("false positives per scan", f"{summary.fp_per_scan:.2f}")
    for name in ("ppv", "median_dice", "median_hd95_mm", "volume_r", "count_r"):
        value = getattr(summary, name)
        table.add_row(name, "none" if value is None else f"{value:.3f}")
    console.print(table)
    if len(results.groups) > 1:
        _print_groups(results, console)
    console.print(results.header.research_use)


def _print_groups(results: EvaluationResults, console: Console) -> None:
    table = Table(title="by kind of study", title_justify="left")
    for heading in ("kind", "studies", "lesions", "sensitivity", "sensitivity ge_6mm", "false positives"):
        table.add_column(heading)
    for group in results.groups:
        cells = () if group.summary is None else _summary_cells(group.summary)
        table.add_row(f"{group.cohort}: {_group_title(group)}", *cells)
    console.print(table)


def _summary_cells(summary: Summary) -> tuple[str, ...]:
    found = summary.sensitivity
    shares = ("none" if value is None else f"{value:.0%}" for value in (found.all, found.ge_6mm))
    return str(summary.n_studies), str(summary.n_lesions), *shares, f"{summary.fp_per_scan:.2f}"

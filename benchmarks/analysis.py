"""Seconds and memory of one analysis: the demo's study through the worker's three stages.

    python benchmarks/analysis.py [--profile full] [--seed 0] [--json FILE]

The analysis runs in a process of its own, as it does in a worker. Exits 1 when a limit is exceeded;
on a machine that is busy with other work the CPU time counts.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import worker.brain
import worker.ensemble
import worker.preprocessing
import worker.stages
from cli.demo_study import DemoRequest, make_study
from cli.folders import StudyFolder, read_study_folder
from core.clock import utc_now
from core.job import Stage
from core.settings import CommonSettings, WorkerSettings
from core.study import Selection
from core.study_store import StudyStore
from service.selection.assembly import select_series
from worker.loaded_models import LoadedModels
from worker.main import open_models
from worker.model_set import FULL_PROFILE
from worker.stage_context import StageContext
from worker.stages import Stages

SECONDS_LIMIT = 180.0
"""Of one analysis on two idle cores without a GPU: the result is there before the planner opens the study."""

OVERLAP = 0.75
"""CPU seconds a thread spends in a second on idle cores, at least: inference keeps every one busy."""

PEAK_MEMORY_LIMIT_BYTES = 4_000_000_000
"""Of the worker process, models included: a worker fits beside a PACS gateway on a machine of 8 GB."""

SPACING_KJI_MM = (1.0, 1.0, 1.0)
"""The demo's default, and that of a planning scan."""


KIBIBYTE = 1024
"""Unit of ru_maxrss on Linux."""

PARTS_OF_STAGE = {
    Stage.PREPARE.value: ("decode, stack", "registration", "brain", "resample, normalise"),
    Stage.INFER.value: ("members",),
    Stage.ENCODE.value: ("find", "encode, read back"),
}
PARTS = tuple(part for parts in PARTS_OF_STAGE.values() for part in parts)
"""The rest of a stage is reading and writing files."""


@dataclass(frozen=True)
class Measurement:
    """What one analysis took; ``parts_s`` lie within the three stages."""

    profile: str
    threads: int
    members: int
    windows: int
    lesions: int
    models_s: float
    stages_s: dict[str, float]
    parts_s: dict[str, float]
    total_s: float
    cpu_s: float
    seconds_per_window: float
    peak_memory_bytes: int

    @property
    def within_limits(self) -> bool:
        """Whether time and memory are what the method promises."""
        idle_s = min(self.total_s, self.cpu_s / (OVERLAP * self.threads))
        return idle_s <= SECONDS_LIMIT and self.peak_memory_bytes <= PEAK_MEMORY_LIMIT_BYTES


@dataclass
class Stopwatch:
    """Adds up the seconds spent in functions of the worker, which stay as they are otherwise."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    results: dict[str, Any] = field(default_factory=dict)

    def watch(self, owner: object, name: str, part: str) -> None:
        """Time every call of a module's function, or of a class' method, from now on."""
        setattr(owner, name, self.timed(getattr(owner, name), part))

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Return the function with its time taken."""

        @functools.wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                self.results[part] = function(*args, **options)
                return self.results[part]
            finally:
                self.seconds[part] += time.perf_counter() - start

        return run


def main() -> int:
    """Make the study, measure its analysis in a fresh process, print the table."""
    arguments = _parse_arguments()
    if arguments.measure is not None:
        print(json.dumps(asdict(measure(arguments.measure, arguments.profile))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        request = DemoRequest(Path(folder), arguments.seed, None, SPACING_KJI_MM, 0.0, None)
        make_study(request, Console(quiet=True))
        measurement = _measure_in_fresh_process(Path(folder), arguments.profile)
    _print(measurement)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(measurement), indent=2) + "\n", encoding="utf-8")
    return 0 if measurement.within_limits else 1


def measure(folder: Path, profile: str) -> Measurement:
    """Analyse the study below a folder and say what it took."""
    stopwatch = Stopwatch()
    settings = WorkerSettings(profile=profile)
    start = time.perf_counter()
    models = open_models(CommonSettings(data_dir=folder / "data"), settings)
    models_s = time.perf_counter() - start
    _watch_parts(stopwatch)
    stages = Stages(models, "benchmark")
    context = _context(read_study_folder(folder / "study"), StudyStore(folder / "data"))
    cpu_start = time.process_time()
    stages_s, lesions = _run_stages(stages, context)
    cpu_s = time.process_time() - cpu_start
    return _measurement(models, stopwatch, models_s, stages_s, cpu_s, lesions)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--profile", default=FULL_PROFILE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure_in_fresh_process(folder: Path, profile: str) -> Measurement:
    """Peak memory belongs to a process: that of making the study must not count."""
    command = [sys.executable, __file__, "--measure", str(folder), "--profile", profile]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measurement(**json.loads(finished.stdout.splitlines()[-1]))


def _watch_parts(stopwatch: Stopwatch) -> None:
    stopwatch.watch(worker.preprocessing, "load_volume", "decode, stack")
    stopwatch.watch(worker.preprocessing, "register", "registration")
    stopwatch.watch(worker.brain.NetworkBrainExtraction, "__call__", "brain")
    stopwatch.watch(worker.stages, "prepare", "prepare without files")
    stopwatch.watch(worker.ensemble, "plan_windows", "plan windows")
    stopwatch.watch(worker.ensemble.Ensemble, "predict", "members")
    stopwatch.watch(worker.stages, "find", "find")
    stopwatch.watch(worker.stages, "encode_findings", "encode, read back")


def _context(found: StudyFolder, store: StudyStore) -> StageContext:
    selection = select_series(found.study)
    if not isinstance(selection, Selection):
        raise SystemExit(f"the demo's study was refused: {selection.message}")
    work_folder = store.work_folder("job", 1)
    return StageContext(
        job_id="job",
        study_instance_uid=found.study.study_instance_uid,
        revision=1,
        created_at=utc_now(),
        selection=selection,
        instance_paths={uid: _linked(store, uid, path) for uid, path in found.paths.items()},
        artefacts=dict.fromkeys(Stage, work_folder),
        work_folder=work_folder,
        results_folder=store.results_folder("job", 1),
        store=store,
    )


def _linked(store: StudyStore, sop_instance_uid: str, path: Path) -> str:
    """Give a file its place in the store; return that, relative to the store."""
    place = store.instances / f"{sop_instance_uid}.dcm"
    os.link(path, place)
    return store.relative(place)


def _run_stages(stages: Stages, context: StageContext) -> tuple[dict[str, float], int]:
    """Run the stages one after the other, artefacts written and read between them, as workers do."""
    seconds: dict[str, float] = {}
    lesions = 0
    for stage, run in stages.by_stage().items():
        start = time.perf_counter()
        result = run(context, lambda _share: None)
        seconds[stage.value] = time.perf_counter() - start
        lesions = len(result.report.lesions) if result.report else lesions
    return seconds, lesions


def _measurement(
    models: LoadedModels,
    stopwatch: Stopwatch,
    models_s: float,
    stages_s: dict[str, float],
    cpu_s: float,
    lesions: int,
) -> Measurement:
    parts_s = dict(stopwatch.seconds)
    known = sum(parts_s[part] for part in ("decode, stack", "registration", "brain"))
    parts_s["resample, normalise"] = parts_s.pop("prepare without files") - known
    members = len(stopwatch.results["members"].member_names)
    windows = len(stopwatch.results["plan windows"].windows)
    return Measurement(
        profile=models.ensemble.identity.profile,
        threads=models.threads,
        members=members,
        windows=windows,
        lesions=lesions,
        models_s=models_s,
        stages_s=stages_s,
        parts_s={part: parts_s[part] for part in PARTS},
        total_s=sum(stages_s.values()),
        cpu_s=cpu_s,
        seconds_per_window=parts_s["members"] / (members * windows),
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE,
    )


def _print(measurement: Measurement) -> None:
    table = Table(title=f"profile {measurement.profile}, {measurement.threads} threads", title_justify="left")
    table.add_column("stage")
    table.add_column("s", justify="right")
    table.add_row("(once a process) models", f"{measurement.models_s:.2f}")
    for stage, seconds in measurement.stages_s.items():
        table.add_row(stage, f"{seconds:.2f}")
        for part in PARTS_OF_STAGE[stage]:
            table.add_row(f"  {part}", f"{measurement.parts_s[part]:.2f}")
    table.add_row("total", f"{measurement.total_s:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"{measurement.members} members over {measurement.windows} windows, "
        f"{measurement.seconds_per_window:.3f} s a window; {measurement.lesions} lesions"
    )
    console.print(
        f"total {measurement.total_s:.0f} s, {measurement.cpu_s:.0f} s of CPU, limit {SECONDS_LIMIT:.0f} s; "
        f"peak memory {measurement.peak_memory_bytes / 1e9:.2f} GB, "
        f"limit {PEAK_MEMORY_LIMIT_BYTES / 1e9:.2f} GB"
    )
    console.print("within limits" if measurement.within_limits else "BEYOND LIMITS")


if __name__ == "__main__":
    sys.exit(main())

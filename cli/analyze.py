"""`metserve analyze`: a folder of DICOM in; SEG, SR and findings.json out. No network, no database."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from pydicom import Dataset
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.folders import StudyFolder, read_study_folder
from core.clock import utc_now
from core.errors import UnsuitableStudy
from core.headers import quiet_pydicom
from core.lesion import FindingsReport
from core.logs import configure
from core.provenance import RESEARCH_USE_NOTICE, Provenance
from core.settings import CommonSettings, WorkerSettings
from core.study import SelectedSeries, Selection, SeriesRole, SeriesVerdict
from service.selection.assembly import Refusal, select_series
from worker.loaded_models import LoadedModels
from worker.main import model_folders, open_models
from worker.model_set import verify_model_set
from worker.pipeline import Analysis, analyze
from worker.stage_context import read_instance
from worker.stages import write_results
from worker.volumes import SourceImages


def analyze_folder(
    folder: Path, out: Path, common: CommonSettings, settings: WorkerSettings, console: Console
) -> FindingsReport:
    """Analyse the one study of a folder and write the results.

    Raises
    ------
    InvalidInput
        The folder does not hold one readable study.
    UnsuitableStudy
        The study cannot be analysed; the message says what was found and what was expected.
    """
    configure(common.log_level, common.log_format, "analyze")
    quiet_pydicom()
    found = read_study_folder(folder)
    selection = choose_series(found, console)
    verify_model_set(model_folders(settings).released)
    models = open_models(common, with_cache_of_user(settings))
    images = read_images(found, selection)
    provenance = Provenance(
        found.study.study_instance_uid, 1, models.ensemble.identity, version("metserve"), utc_now()
    )
    clock = _StageClock()
    analysis = _analyze(images, models, provenance, selection, console, clock)
    out.mkdir(parents=True, exist_ok=True)
    files = write_results(out, out, analysis.report, analysis.encoded)
    clock.enter("")
    _print_report(analysis.report, clock.seconds, console)
    console.print("written: " + ", ".join(str(out / file.path) for file in files.values()))
    return analysis.report


def with_cache_of_user(settings: WorkerSettings) -> WorkerSettings:
    """Keep compiled networks in the user's cache: a command for one folder has no data folder."""
    if settings.cache_dir is not None:
        return settings
    return settings.model_copy(update={"cache_dir": Path.home() / ".cache" / "metserve"})


def choose_series(found: StudyFolder, console: Console) -> Selection:
    """Choose T1 and T1-post and say why; raise UnsuitableStudy when that is not possible."""
    choice = select_series(found.study)
    _print_verdicts(choice.verdicts, console)
    if isinstance(choice, Refusal):
        raise UnsuitableStudy(choice.reason, choice.message)
    return choice


@dataclass
class _StageClock:
    """Seconds spent in each stage the pipeline names."""

    seconds: dict[str, float] = field(default_factory=dict)
    _stage: str = ""
    _since: float = field(default_factory=time.perf_counter)

    def enter(self, stage: str) -> None:
        if stage == self._stage:
            return
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


def _analyze(
    images: SourceImages,
    models: LoadedModels,
    provenance: Provenance,
    selection: Selection,
    console: Console,
    clock: _StageClock,
) -> Analysis:
    columns = (TextColumn("{task.description:<8}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("prepare", total=1.0)

        def on_progress(stage: str, fraction: float) -> None:
            clock.enter(stage)
            progress.update(bar, description=stage, completed=fraction)

        analysis = analyze(
            images,
            models.ensemble,
            models.brain,
            provenance,
            on_progress,
            flags=selection.flags,
            threads=models.threads,
        )
        progress.update(bar, description="done", completed=1.0)
    return analysis


def read_images(found: StudyFolder, selection: Selection) -> SourceImages:
    """Read the chosen series with their pixels."""
    t1 = selection.series_for(SeriesRole.T1)
    t1_post = selection.series_for(SeriesRole.T1_POST)
    return SourceImages(
        t1_post=() if t1_post is None else _read(found, t1_post),
        t1=None if t1 is None else _read(found, t1),
    )


def _read(found: StudyFolder, series: SelectedSeries) -> tuple[Dataset, ...]:
    return tuple(read_instance(found.paths[uid], with_pixels=True) for uid in series.sop_instance_uids)


def _print_verdicts(verdicts: tuple[SeriesVerdict, ...], console: Console) -> None:
    table = Table(title="series", title_justify="left")
    for heading in ("no.", "description", "images", "role", "why"):
        table.add_column(heading)
    for verdict in verdicts:
        role = verdict.role.value if verdict.role else "-"
        number = "" if verdict.series_number is None else str(verdict.series_number)
        images = str(verdict.number_of_instances)
        table.add_row(number, verdict.series_description, images, role, "; ".join(verdict.reasons))
    console.print(table)


def _print_report(report: FindingsReport, seconds: dict[str, float], console: Console) -> None:
    table = Table(title=f"{len(report.lesions)} lesions", title_justify="left")
    for heading in ("lesion", "volume mm3", "longest mm", "centroid LPS mm", "mean p", "members"):
        table.add_column(heading, justify="right")
    for lesion in report.lesions:
        table.add_row(
            lesion.tracking_id,
            f"{lesion.volume_mm3:.0f}",
            f"{lesion.longest_diameter_mm:.1f}",
            " ".join(f"{c:.1f}" for c in lesion.centroid_lps_mm),
            f"{lesion.mean_probability:.2f}",
            f"{lesion.members_agreeing}/{lesion.members_total}",
        )
    console.print(table)
    console.print(
        f"total volume {report.total_volume_mm3:.0f} mm3, threshold {report.threshold}, {report.mode}"
    )
    if report.flags:
        console.print("flags: " + ", ".join(report.flags))
    console.print("seconds: " + ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items()))
    console.print(RESEARCH_USE_NOTICE)

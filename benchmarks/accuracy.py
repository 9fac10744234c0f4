"""Found against inserted, over several of the demo's default studies.

    python benchmarks/accuracy.py [--seeds 0 1 2] [--profile full]

Exits 1 when a limit is missed. The figures are those of synthetic enhancement in one template head:
they tell whether the program does what it did, not how it does on patients.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.analyze import choose_series, read_images
from cli.demo_study import DemoRequest, make_study
from cli.folders import read_study_folder
from core.clock import utc_now
from core.provenance import Provenance
from core.settings import CommonSettings, WorkerSettings
from phantom.scoring import LesionScore, StudyScore, match
from worker.loaded_models import LoadedModels
from worker.main import open_models
from worker.model_set import FULL_PROFILE
from worker.pipeline import analyze

LEAST_SENSITIVITY = 0.8
"""Share of the lesions above 6 mm that must be found, over all studies."""

MOST_VOLUME_ERROR = 0.3
"""Median of the relative volume error of the found lesions above 6 mm, either way."""

SPACING_KJI_MM = (1.0, 1.0, 1.0)
"""The demo's default."""


@dataclass(frozen=True)
class Accuracy:
    """The scores of several studies taken together."""

    scores: tuple[StudyScore, ...]

    @property
    def large(self) -> list[LesionScore]:
        """Every inserted lesion above 6 mm."""
        return [lesion for score in self.scores for lesion in score.lesions if lesion.is_large]

    @property
    def small(self) -> list[LesionScore]:
        """Every inserted lesion up to 6 mm."""
        return [lesion for score in self.scores for lesion in score.lesions if not lesion.is_large]

    @property
    def sensitivity_large(self) -> float:
        """Found share of the lesions above 6 mm."""
        return sum(lesion.detected for lesion in self.large) / len(self.large)

    @property
    def median_volume_error_large(self) -> float:
        """Median size of the relative volume error of the found lesions above 6 mm."""
        return statistics.median(
            abs(lesion.relative_volume_error) for lesion in self.large if lesion.detected
        )

    @property
    def false_positives(self) -> int:
        """Found lesions that overlap no inserted one, of all studies."""
        return sum(score.false_positives for score in self.scores)

    @property
    def within_limits(self) -> bool:
        """Whether enough is found, and measured well enough."""
        return (
            self.sensitivity_large >= LEAST_SENSITIVITY
            and self.median_volume_error_large <= MOST_VOLUME_ERROR
        )


def main() -> int:
    """Analyse every study, print a line each and the sum."""
    arguments = _parse_arguments()
    accuracy = measure_accuracy(arguments.seeds, arguments.profile, Console())
    print("within limits" if accuracy.within_limits else "BEYOND LIMITS")
    return 0 if accuracy.within_limits else 1


def measure_accuracy(seeds: Sequence[int], profile: str, console: Console) -> Accuracy:
    """Analyse the studies of these seeds from DICOM files and compare with what was inserted."""
    table = Table(title=f"profile {profile}", title_justify="left")
    for heading in ("seed", "above 6 mm", "up to 6 mm", "median volume error above 6 mm", "false", "s"):
        table.add_column(heading, justify="right")
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        common = CommonSettings(data_dir=Path(folder) / "data")
        models = open_models(common, WorkerSettings(profile=profile))
        for seed in seeds:
            start = time.perf_counter()
            scores.append(_score(seed, models, Path(folder) / f"seed-{seed}"))
            row = _row(Accuracy((scores[-1],)))
            table.add_row(str(seed), *row, f"{time.perf_counter() - start:.0f}")
    accuracy = Accuracy(tuple(scores))
    table.add_section()
    table.add_row("all", *_row(accuracy))
    console.print(table)
    return accuracy


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--profile", default=FULL_PROFILE)
    return parser.parse_args()


def _score(seed: int, models: LoadedModels, folder: Path) -> StudyScore:
    request = DemoRequest(folder, seed, None, SPACING_KJI_MM, 0.0, None)
    study, _, images_folder = make_study(request, Console(quiet=True))
    found = read_study_folder(images_folder)
    images = read_images(found, choose_series(found, Console(quiet=True)))
    provenance = Provenance(
        found.study.study_instance_uid, 1, models.ensemble.identity, version("metserve"), utc_now()
    )
    analysis = analyze(
        images,
        models.ensemble,
        models.brain,
        provenance,
        lambda _stage, _share: None,
        threads=models.threads,
    )
    return match(study.truth, analysis.findings.label_map_kji, analysis.findings.grid.voxel_volume_mm3)


def _row(accuracy: Accuracy) -> tuple[str, ...]:
    return (
        *(
            f"{sum(lesion.detected for lesion in lesions)} of {len(lesions)}"
            for lesions in (accuracy.large, accuracy.small)
        ),
        f"{accuracy.median_volume_error_large:.0%}",
        str(accuracy.false_positives),
    )


if __name__ == "__main__":
    sys.exit(main())

"""Found against inserted on a real T1: vessels, sinuses and lesions laid into a head that was scanned.

    python benchmarks/real_t1.py --t1 FOLDER [--seeds 0 1 2] [--profile full] [--precision f32] [--models SET]
        [--out FOLDER]

FOLDER holds one MPRAGE series without contrast as DICOM; nothing of it but figures is written anywhere.
Exits 1 when a limit is missed. Anatomy, texture and artefacts are real here, enhancement is not: muscle,
mucosa and marrow do not enhance, and both scans share the noise of the one they are made of. What it
tells is whether networks that have seen computed heads alone cope with a real one.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cli.demo_study import head_of
from cli.inference import open_inference
from core.errors import InvalidInput
from core.headers import quiet_pydicom
from core.settings import WorkerSettings, load
from evaluation.cohorts.case import Case, Cohort
from evaluation.cohorts.imported.study import ImportOptions
from evaluation.cohorts.synthetic.cohort import as_case
from evaluation.cohorts.synthetic.planning_scan import PlanningScan
from evaluation.evaluate import evaluate
from evaluation.figures.outcomes import LesionOutcome
from evaluation.figures.results import EvaluationResults, OperatingFigures, Precision
from evaluation.figures.size_classes import in_size_class
from phantom.head import Head
from phantom.scanner import sample_slices
from phantom.study import PhantomSpec, PhantomStudy, generate_study, random_streams
from phantom.synthesis.anatomy.structures import Enhancing
from phantom.vessels import grow_vessels
from worker.model_set import FULL_PROFILE

LEAST_SENSITIVITY = 0.8
"""Share of the lesions of 6 mm or more that must be found, over all studies."""

MOST_FALSE_POSITIVES = 2.0
"""Findings a study that overlap no lesion: the paper's ensemble had 0.46 on patients."""

OBLIQUE_DEG = 12.0
"""Planning scans are tilted; slices along the axes of the head would hide errors of geometry."""

NAME = "real-t1"
"""Of cohort and head in the results: what the folder is called is nobody's business."""

RESULTS_NAME = "results.json"

VESSEL_STREAM = 1
"""Of ``random_streams``: what the study's vessels were grown from."""

LEAST_FRACTION = 0.2
"""Of a voxel: from here on it is named after what enhances in it."""


@dataclass(frozen=True)
class RealHeadAccuracy:
    """What the limits are about, of one study or of several."""

    released: OperatingFigures

    @property
    def large(self) -> list[LesionOutcome]:
        """Lesions of 6 mm or more, by the paper's limit of volume."""
        return [lesion for lesion in self.released.lesions if in_size_class(lesion.size_mm3, "ge_6mm")]

    @property
    def small(self) -> list[LesionOutcome]:
        """Those below."""
        return [lesion for lesion in self.released.lesions if not in_size_class(lesion.size_mm3, "ge_6mm")]

    @property
    def within_limits(self) -> bool:
        """Whether enough is found and little enough invented; without large lesions nothing is shown."""
        found = sum(lesion.detected for lesion in self.large)
        pooled = self.released.pooled
        return (
            len(self.large) > 0
            and found >= LEAST_SENSITIVITY * len(self.large)
            and pooled.n_false_positives <= MOST_FALSE_POSITIVES * pooled.n_studies
        )


def main() -> int:
    """Measure, print, and write the results where that was asked for."""
    arguments = _parse_arguments()
    console = Console()
    results = measure(arguments, console)
    print_figures(results, console)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / RESULTS_NAME).write_text(results.to_json() + "\n", encoding="utf-8")
    is_within = RealHeadAccuracy(results.released).within_limits
    print("within limits" if is_within else "BEYOND LIMITS")
    return 0 if is_within else 1


def measure(arguments: argparse.Namespace, console: Console) -> EvaluationResults:
    """Make the studies and measure the model set on them; nothing is kept between calls."""
    quiet_pydicom()
    overrides = {} if arguments.models is None else {"models_dir": arguments.models}
    settings = load(WorkerSettings, **overrides)
    with tempfile.TemporaryDirectory() as folder:
        inference = open_inference(settings, arguments.profile, arguments.precision, Path(folder))
        # The released set finds the brain to build on: every model set gets the same studies.
        cohort = real_head_cohort(head_of(arguments.t1), [_spec(seed) for seed in arguments.seeds])
        studies = inference.run(cohort, cohort.case_names, ImportOptions(), console)
        return evaluate(cohort, studies, inference.contestant)


def real_head_cohort(head: Head, specs: Sequence[PhantomSpec]) -> Cohort:
    """Return the studies of one head, one for each specification."""
    by_name = {f"seed-{spec.seed:03d}": spec for spec in specs}
    digest = hashlib.sha256(repr([asdict(spec) for spec in specs]).encode())
    for array in (head.grid.affine_kji_to_lps_mm, head.t1, head.brain_mask):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Cohort(NAME, digest.hexdigest(), tuple(by_name), partial(_make, head, by_name))


def print_figures(results: EvaluationResults, console: Console) -> None:
    """Print what was found by size, what was invented and where, how well it was outlined."""
    released = results.released
    accuracy = RealHeadAccuracy(released)
    table = Table(title=f"inserted into a real head, profile {results.header.profile}", title_justify="left")
    for heading in ("study", "6 mm and above", "below 6 mm", "false positives", "Dice", "s"):
        table.add_column(heading, justify="right")
    for study in released.studies:
        large, small = (_found(lesions, study.name) for lesions in (accuracy.large, accuracy.small))
        invented, dice = str(study.n_false_positives), _figure(study.dice)
        table.add_row(study.name, large, small, invented, dice, f"{study.seconds:.0f}")
    table.add_section()
    pooled = released.pooled
    invented, dice = f"{pooled.fp_per_scan.value:.1f} a study", f"median {_figure(pooled.dice.median)}"
    table.add_row("all", _found(accuracy.large), _found(accuracy.small), invented, dice, "")
    console.print(table)
    for row in released.false_positive_structures or ():
        console.print(f"false positives on {row.structure}: {row.false_positives}", highlight=False)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--t1", type=Path, required=True, help="folder with one MPRAGE without contrast")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--profile", default=FULL_PROFILE)
    parser.add_argument("--precision", choices=get_args(Precision), default="f32")
    parser.add_argument("--models", type=Path, help="folder with ensemble.toml; default: as set")
    parser.add_argument("--out", type=Path, help=f"folder for {RESULTS_NAME}")
    return parser.parse_args()


def _spec(seed: int) -> PhantomSpec:
    return PhantomSpec(seed=seed, oblique_deg=OBLIQUE_DEG)


def _make(head: Head, specs: Mapping[str, PhantomSpec], name: str) -> Case:
    study = generate_study(specs[name], head)
    if study.t1 is None:
        raise InvalidInput(f"the specification of {name} asks for no T1, expected a pair to subtract")
    shown = np.unique(study.truth.label_map)[1:]  # a lesion too small for the slices has no voxel
    scan = PlanningScan(
        t1_kji=study.t1.voxels_kji,
        t1_grid=study.t1.grid,
        t1_post_kji=study.t1_post.voxels_kji,
        t1_post_grid=study.t1_post.grid,
        labels_kji=np.searchsorted(shown, study.truth.label_map, side="right").astype(np.uint16),
        structures_kji=_structures(head, study),
        lesion_volumes_mm3={
            n: study.truth.lesions[number - 1].volume_mm3 for n, number in enumerate(shown.tolist(), start=1)
        },
        lesions_outside=len(study.truth.lesions) - len(shown),
    )
    return as_case(name, NAME, scan)


def _structures(head: Head, study: PhantomStudy) -> NDArray[np.uint8]:
    """Map what enhances without being a lesion onto the T1-post grid, from the seed it was grown from."""
    contrast = grow_vessels(head, random_streams(study.spec.seed)[VESSEL_STREAM])
    grid = study.t1_post.grid
    structures = np.full(grid.shape_kji, Enhancing.NONE, dtype=np.uint8)
    for fraction, structure in (  # thin ones last: they are not to be covered
        (contrast.dura, Enhancing.DURA),
        (contrast.gland, Enhancing.CHOROID_PLEXUS),
        (contrast.sinus, Enhancing.SINUS),
        (contrast.vessel, Enhancing.VEIN),  # arteries too: they are grown as one
    ):
        here = sample_slices(fraction, head.grid, grid, np.eye(4))
        structures[here >= LEAST_FRACTION] = structure
    return structures


def _found(lesions: Sequence[LesionOutcome], study: str | None = None) -> str:
    chosen = [lesion for lesion in lesions if study in (None, lesion.study)]
    return f"{sum(lesion.detected for lesion in chosen)} of {len(chosen)}"


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())

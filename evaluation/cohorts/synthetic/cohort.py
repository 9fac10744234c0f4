"""A cohort of synthetic studies: a file of knobs, anatomies and seeds, from which every case is made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from core.errors import Defect, InvalidInput
from core.geometry import Grid
from evaluation.cohorts.case import Case, CaseGroup, Cohort
from evaluation.cohorts.synthetic.cohort_file import (
    CohortFile,
    Knobs,
    digest_cohort,
    override_knobs,
    read_cohort_file,
    read_knobs,
)
from evaluation.cohorts.synthetic.planning_scan import PlanningScan, scan_pair
from phantom.fields import Floats
from phantom.synthesis.anatomy.heads import open_anatomies
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.study import GENERATOR_VERSION, build_scene
from worker.volumes import SliceReference, Volume

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.10.543.1"
"""No instance lies behind a synthetic volume; a volume names one all the same."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one case is made from."""

    seed: int
    anatomy: str
    knobs: Knobs


def open_synthetic(path: Path, anatomy_folder: Path | None) -> Cohort:
    """Read a cohort's file; its studies are made when they are asked for.

    Parameters
    ----------
    path
        The TOML file.
    anatomy_folder
        Where its label maps are; the public template without one.

    Raises
    ------
    InvalidInput
        The file cannot be read, was frozen with another generator, was edited since, or the label maps are
        not its own.
    """
    content = read_cohort_file(path)
    if content.generator_version != GENERATOR_VERSION:
        raise InvalidInput(
            f"{path} was frozen with generator {content.generator_version}, this is {GENERATOR_VERSION}: "
            "its studies cannot be made again"
        )
    base = read_knobs(path.parent / content.settings)
    digest = digest_cohort(content, base)
    if digest != content.digest:
        raise InvalidInput(
            f"{path} and {content.settings} have digest {digest}, expected {content.digest} as when the "
            "cohort was frozen: a seed, a group, a label map or a knob is another"
        )
    anatomies = {a.name: a for a in open_anatomies(anatomy_folder, tuple(content.anatomies))}
    _check_anatomies(content, anatomies)
    return plan_cohort(content, base, anatomies)


def plan_cohort(content: CohortFile, base: Knobs, anatomies: Mapping[str, Anatomy]) -> Cohort:
    """Return the studies of a cohort's file; no digest is compared with anything.

    Parameters
    ----------
    base
        Every knob, before the groups' overrides.
    anatomies
        By name.
    """
    plans = _plan(content, base)
    return Cohort(
        name=content.name,
        digest=digest_cohort(content, base),
        case_names=tuple(plans),
        make=partial(_make, plans, anatomies),
        groups=tuple(CaseGroup(group.name, group.case_names) for group in content.groups),
    )


def label_digest(anatomy: Anatomy) -> str:
    """SHA-256 (hexadecimal) of a label map's shape and voxels."""
    return hashlib.sha256(repr(anatomy.labels_kji.shape).encode() + anatomy.labels_kji.tobytes()).hexdigest()


def _check_anatomies(content: CohortFile, anatomies: Mapping[str, Anatomy]) -> None:
    for name, expected in content.anatomies.items():
        found = label_digest(anatomies[name])
        if found != expected:
            raise InvalidInput(f"label map {name} has SHA-256 {found}, expected {expected}")


def _plan(content: CohortFile, base: Knobs) -> dict[str, _Plan]:
    names = list(content.anatomies)
    return {
        name: _Plan(group.first_seed + n, names[n % len(names)], override_knobs(base, group.overrides))
        for group in content.groups
        for n, name in enumerate(group.case_names)
    }


def _make(plans: Mapping[str, _Plan], anatomies: Mapping[str, Anatomy], name: str) -> Case:
    """Make a case; what is wrong with one that we make ourselves is our own error, not a study's."""
    plan = plans[name]
    try:
        scene = build_scene(anatomies[plan.anatomy], plan.seed, plan.knobs.synthesis)
        scan = scan_pair(scene, plan.knobs.planning, plan.seed)
        return as_case(name, plan.anatomy, scan)
    except InvalidInput as error:
        raise Defect(f"case {name} cannot be made: {error}") from error


def as_case(name: str, anatomy: str, scan: PlanningScan) -> Case:
    """Give two scans the form in which the worker takes volumes."""
    return Case(
        name=name,
        anatomy=anatomy,
        t1_post=_volume(scan.t1_post_kji, scan.t1_post_grid),
        t1=_volume(scan.t1_kji, scan.t1_grid),
        reference_kji=scan.labels_kji,
        structures_kji=scan.structures_kji,
        lesion_volumes_mm3=scan.lesion_volumes_mm3,
        lesions_outside=scan.lesions_outside,
    )


def _volume(voxels_kji: Floats, grid: Grid) -> Volume:
    slices = [SliceReference(ENHANCED_MR, FRAME_OF_REFERENCE, k + 1) for k in range(grid.shape_kji[0])]
    return Volume(np.rint(voxels_kji), grid, FRAME_OF_REFERENCE, tuple(slices))  # scanners store integers

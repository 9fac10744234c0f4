"""Write the files of the synthetic cohorts, once, before training.

    python -m evaluation.cohorts.synthetic.freeze --anatomy DIR --voxels 2
    python -m evaluation.cohorts.synthetic.freeze --anatomy DIR --check

What is written is committed: another version of the generator, another seed, group or knob, and other label
maps are refused when a cohort is opened, not measured by mistake. The version of the generator
(``phantom.synthesis.study.GENERATOR_VERSION``) stands for the code of the synthesis and of
``planning_scan``; whether a change of either that raised no number gives other voxels is what --check tells.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from evaluation.cohorts.case_store import digest_voxels
from evaluation.cohorts.synthetic.cohort import label_digest, open_synthetic, plan_cohort
from evaluation.cohorts.synthetic.cohort_file import CohortFile, Group, Knobs, read_cohort_file
from evaluation.cohorts.synthetic.planning_scan import PlanningScanSettings
from phantom.synthesis.anatomy.heads import TEST_HEADS, VALIDATION_HEADS, open_anatomies
from phantom.synthesis.study import GENERATOR_VERSION, SynthesisSettings

COHORTS_FOLDER = Path(__file__).parent / "frozen"
SETTINGS_FILE = "settings.json"

UNNUMBERED_CHANGE = "the generator was changed without another version"

Overrides = dict[str, dict[str, Any]]

PAPER_SIZES: Overrides = {"metastases": {"empty_share": 0.0, "log_uniform_share": 0.0}}
"""At least one lesion, and the published distribution of volumes."""

NO_LESION: Overrides = {"metastases": {"empty_share": 1.0}}

AXIAL_ONLY = [1.0, 0.0, 0.0]
"""Other planes have a square field of view, which covers the top of the head whatever is cut."""


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Studies of one kind."""

    name: str
    studies: int
    first_seed: int
    overrides: Overrides


@dataclass(frozen=True, slots=True)
class CohortPlan:
    """One cohort: its heads were never trained on."""

    name: str
    description: str
    heads: tuple[str, ...]
    groups: tuple[GroupPlan, ...]


@dataclass(frozen=True, slots=True)
class CheckedCase:
    """A case that was made again: digests of its voxels, as frozen and now."""

    cohort: str
    name: str
    expected: str
    found: str


def _stressed(name: str, first_seed: int, planning: dict[str, Any]) -> GroupPlan:
    return GroupPlan(name, len(TEST_HEADS), first_seed, {**PAPER_SIZES, "planning": planning})


COHORTS = (
    CohortPlan(
        "frozen",
        "The released figures: lesions by the paper's distribution, every negative that enhances.",
        TEST_HEADS,
        (
            GroupPlan("lesions", 60, 1_000_000, PAPER_SIZES),
            GroupPlan("without", 15, 1_100_000, NO_LESION),
        ),
    ),
    CohortPlan(
        "validation",
        "Thresholds are chosen here, on other heads than the released figures.",
        VALIDATION_HEADS,
        (
            GroupPlan("lesions", 10, 2_000_000, PAPER_SIZES),
            GroupPlan("without", 4, 2_100_000, NO_LESION),
        ),
    ),
    CohortPlan(
        "stress",
        "One thing worse than planned, a group each.",
        TEST_HEADS,
        (
            _stressed("thick_slices", 3_000_000, {"slice_mm": [5.0, 5.0]}),
            _stressed("low_signal", 3_100_000, {"signal_to_noise": [12.0, 12.0]}),
            _stressed("misregistered", 3_200_000, {"distortion_mm": 1.0}),
            _stressed("truncated", 3_300_000, {"cut_mm": 45.0, "orientation_shares": AXIAL_ONLY}),
        ),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check every cohort's file; the status is 1 when a case is made otherwise than it was."""
    options = _parser().parse_args(arguments)
    if options.check:
        return _report(check(COHORTS, options.anatomy, options.out))
    for path in freeze(COHORTS, options.anatomy, options.out, options.voxels):
        sys.stdout.write(f"{path}\n")
    return 0


def freeze(plans: Sequence[CohortPlan], anatomy_folder: Path, out: Path, voxels: int = 0) -> list[Path]:
    """Write the files; a file that is there already is never replaced.

    Parameters
    ----------
    voxels
        Cases of each cohort that are made, and their stored voxels' digest written down.

    Raises
    ------
    InvalidInput
        A cohort of that name is frozen already.
    """
    paths = [out / f"{plan.name}.toml" for plan in plans] + [out / SETTINGS_FILE]
    for path in paths:
        if path.exists():
            raise InvalidInput(f"{path} exists, expected none: a frozen cohort is not frozen again")
    knobs = Knobs(SynthesisSettings(), PlanningScanSettings())
    texts = [_render(_content(plan, knobs, anatomy_folder, voxels)) for plan in plans]
    out.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, [*texts, knobs.to_json()], strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def check(plans: Sequence[CohortPlan], anatomy_folder: Path, out: Path) -> Iterator[CheckedCase]:
    """Make the cases again whose voxels were written down when the cohorts were frozen.

    Raises
    ------
    InvalidInput
        A cohort cannot be opened.
    """
    for plan in plans:
        path = out / f"{plan.name}.toml"
        cohort = open_synthetic(path, anatomy_folder)
        for name, expected in read_cohort_file(path).voxels.items():
            yield CheckedCase(cohort.name, name, expected, digest_voxels(cohort.make(name)))


def _report(cases: Iterable[CheckedCase]) -> int:
    others = 0
    for case in cases:
        is_same = case.found == case.expected
        others += not is_same
        what = "as frozen" if is_same else f"has voxels {case.found}, expected {case.expected}"
        sys.stdout.write(f"{case.cohort} {case.name}: {what}\n")
    if others:
        sys.stdout.write(f"{others} cases differ: this machine rounds differently, or {UNNUMBERED_CHANGE}\n")
    return min(others, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.cohorts.synthetic.freeze",
        description="Write the files of the synthetic cohorts, or check them.",
    )
    parser.add_argument("--anatomy", type=Path, required=True, help="folder of the label maps")
    parser.add_argument("--out", type=Path, default=COHORTS_FOLDER)
    parser.add_argument(
        "--voxels",
        type=int,
        default=0,
        metavar="N",
        help="write down the digest of the first N cases' voxels",
    )
    parser.add_argument("--check", action="store_true", help="make those cases again and compare")
    return parser


def _content(plan: CohortPlan, knobs: Knobs, anatomy_folder: Path, voxels: int) -> CohortFile:
    heads = {head.name: head for head in open_anatomies(anatomy_folder, plan.heads)}
    content = CohortFile(
        name=plan.name,
        description=plan.description,
        generator_version=GENERATOR_VERSION,
        digest="",
        settings=SETTINGS_FILE,
        anatomies={name: label_digest(head) for name, head in heads.items()},
        groups=tuple(Group.model_validate(asdict(group)) for group in plan.groups),
    )
    cohort = plan_cohort(content, knobs, heads)
    digests = {name: digest_voxels(cohort.make(name)) for name in cohort.case_names[:voxels]}
    return content.model_copy(update={"digest": cohort.digest, "voxels": digests})


def _render(content: CohortFile) -> str:
    lines = [
        f"# {content.description}",
        "# Written by freeze.py; frozen: what the studies follow from is fixed by digests.",
        f'name = "{content.name}"',
        f'description = "{content.description}"',
        f"generator_version = {content.generator_version}",
        f'settings = "{content.settings}"',
        "# SHA-256 over all that decides a voxel: generator, heads and groups of this file, every setting.",
        f'digest = "{content.digest}"',
        "",
        "# SHA-256 of each label map; studies take them in turn.",
        "[anatomies]",
        *(f'{name} = "{digest}"' for name, digest in content.anatomies.items()),
    ]
    for group in content.groups:
        lines += ["", "[[groups]]", f'name = "{group.name}"', f"studies = {group.studies}"]
        lines += [f"first_seed = {group.first_seed}"]
        for part, table in group.overrides.items():
            lines += ["", f"[groups.overrides.{part}]"]
            lines += [f"{knob} = {json.dumps(value)}" for knob, value in table.items()]
    if content.voxels:
        lines += ["", "# SHA-256 of the first cases as made where this was frozen; see freeze.py --check."]
        lines += ["[voxels]", *(f'{name} = "{digest}"' for name, digest in content.voxels.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

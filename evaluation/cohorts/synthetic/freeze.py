"""Write the files of the synthetic cohorts, once, before training.

    python -m evaluation.cohorts.synthetic.freeze --anatomy DIR

What is written is committed: another version of the generator, other knobs or other label maps are refused
when a cohort is opened, not measured by mistake.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from evaluation.cohorts.synthetic.cohort import Knobs, label_digest
from evaluation.cohorts.synthetic.planning_scan import PlanningScanSettings
from phantom.synthesis.anatomy.heads import TEST_HEADS, VALIDATION_HEADS, open_anatomies
from phantom.synthesis.study import GENERATOR_VERSION, SynthesisSettings

COHORTS_FOLDER = Path(__file__).parent / "frozen"
SETTINGS_FILE = "settings.json"

Overrides = dict[str, dict[str, Any]]

PAPER_SIZES: Overrides = {"metastases": {"empty_share": 0.0, "log_uniform_share": 0.0}}
"""At least one lesion, and the published distribution of volumes."""

NO_LESION: Overrides = {"metastases": {"empty_share": 1.0}}


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
            _stressed("truncated", 3_300_000, {"cut_mm": 45.0}),
        ),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every cohort's file and the settings they share."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.cohorts.synthetic.freeze",
        description="Write the files of the synthetic cohorts.",
    )
    parser.add_argument("--anatomy", type=Path, required=True, help="folder of the label maps")
    parser.add_argument("--out", type=Path, default=COHORTS_FOLDER)
    options = parser.parse_args(arguments)
    for path in freeze(COHORTS, options.anatomy, options.out):
        sys.stdout.write(f"{path}\n")
    return 0


def freeze(plans: Sequence[CohortPlan], anatomy_folder: Path, out: Path) -> list[Path]:
    """Write the files; a file that is there already is never replaced.

    Raises
    ------
    InvalidInput
        A cohort of that name is frozen already.
    """
    out.mkdir(parents=True, exist_ok=True)
    knobs = Knobs(SynthesisSettings(), PlanningScanSettings())
    contents = {f"{plan.name}.toml": _render(plan, anatomy_folder) for plan in plans}
    contents[SETTINGS_FILE] = knobs.to_json()
    for name in contents:
        if (out / name).exists():
            raise InvalidInput(f"{out / name} exists, expected none: a frozen cohort is not frozen again")
    for name, text in contents.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in contents]


def _render(plan: CohortPlan, anatomy_folder: Path) -> str:
    lines = [
        f"# {plan.description}",
        "# Written by freeze.py; frozen: what the studies follow from is fixed by digests.",
        f'name = "{plan.name}"',
        f'description = "{plan.description}"',
        f"generator_version = {GENERATOR_VERSION}",
        f'settings = "{SETTINGS_FILE}"',
        "",
        "# SHA-256 of each label map; studies take them in turn.",
        "[anatomies]",
    ]
    heads = open_anatomies(anatomy_folder, plan.heads)
    lines += [f'{head.name} = "{label_digest(head)}"' for head in heads]
    for group in plan.groups:
        lines += ["", "[[groups]]", f'name = "{group.name}"', f"studies = {group.studies}"]
        lines += [f"first_seed = {group.first_seed}"]
        for part, table in group.overrides.items():
            lines += ["", f"[groups.overrides.{part}]"]
            lines += [f"{knob} = {json.dumps(value)}" for knob, value in table.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

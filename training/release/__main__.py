r"""Release trained members as a model set: files, manifest and card in one step, with the evidence.

A set is released as a candidate, to choose its thresholds; with these, to be measured; then, with what was
measured, for good (COHORTS is evaluation/cohorts/synthetic/frozen):

    python -m training.release --members ONNX --out runs/candidate --unmeasured ...
    metserve evaluate --models runs/candidate --cohort COHORTS/validation.toml --out runs/validation
    python -m training.release --members ONNX --out runs/candidate --unmeasured \
        --operating-points runs/validation/results.json ...
    metserve evaluate --models runs/candidate --cohort COHORTS/frozen.toml --out runs/measured
    python -m training.release --members ONNX --out models --evaluation runs/measured/results.json \
        --operating-points runs/validation/results.json ...

The evaluation must be of these very files and thresholds: its digest is compared; and of another cohort
than the one that chose the thresholds. One of a part of its cohort's studies is called partial, in manifest
and card. CARD.md is written by hand but for the block between <!-- figures --> and <!-- /figures -->.

If anything fails, the folder that was there stays as it was. Between the two renames that put the new one in
its place there is none of that name for an instant: a service reads an image or a copy, not this folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import MetserveError
from training.release.order import NewBrain, OperatingPoints, ReleaseOrder
from training.release.publish import release


def main(arguments: Sequence[str] | None = None) -> int:
    """Release a set; return the exit status."""
    try:
        released = release(_parse(arguments))
    except (MetserveError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    manifest = released.manifest
    sys.stdout.write(f"{released.folder}: {manifest.name} {manifest.version}, digest {released.digest}\n")
    return 0


def _parse(arguments: Sequence[str] | None) -> ReleaseOrder:
    parser = argparse.ArgumentParser(
        prog="python -m training.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_set(parser.add_argument_group("the set"))
    _add_evidence(parser.add_argument_group("evidence"))
    _add_points(parser.add_argument_group("operating points (those of the base)"))
    _add_brain(parser.add_argument_group("brain extraction (that of the base)"))
    options = parser.parse_args(arguments)
    return ReleaseOrder(
        members=options.members, base=options.base, out=options.out, name=options.name,
        version=options.version, trained_on=options.trained_on, run=options.run, pool=options.pool,
        commit=options.commit, evaluation=options.evaluation, unmeasured=options.unmeasured,
        points=_points(options),
        operating_points=options.operating_points,
        brain=options.brain and NewBrain(options.brain, options.brain_spacing_mm, options.brain_cube),
    )  # fmt: skip


def _points(options: argparse.Namespace) -> OperatingPoints:
    alone = options.t1_post_only_minimum_component_voxels
    return OperatingPoints(
        threshold=options.threshold,
        minimum_component_voxels=options.minimum_component_voxels,
        t1_post_only_threshold=options.t1_post_only_threshold,
        t1_post_only_minimum_component_voxels=options.minimum_component_voxels if alone is None else alone,
    )


def _add_set(group: Any) -> None:
    group.add_argument("--members", type=Path, required=True, help="folder of <member>.onnx")
    group.add_argument("--base", type=Path, required=True, help="model set whose settings are kept")
    group.add_argument("--out", type=Path, required=True, help="the set; replaced as a whole")
    group.add_argument("--name", required=True, help="for example metserve-synthetic")
    group.add_argument("--version", required=True, help="for example 2026.11.1")
    group.add_argument("--trained-on", required=True, metavar="WORDS", help="one sentence for the manifest")


def _add_evidence(group: Any) -> None:
    group.add_argument("--run", type=Path, required=True, help="the run the members were exported from")
    group.add_argument("--pool", type=Path, required=True, help="the pool of that run")
    group.add_argument(
        "--commit", required=True, help="version of the code that trained, where the log has none"
    )
    group.add_argument("--evaluation", type=Path, help="results.json of metserve evaluate")
    group.add_argument(
        "--unmeasured", action="store_true", help="a candidate: it says that nobody measured it"
    )


def _add_points(group: Any) -> None:
    group.add_argument(
        "--operating-points",
        type=Path,
        metavar="RESULTS",
        help="results.json of the validation: the points it suggests",
    )
    group.add_argument("--threshold", type=float, help="with all members")
    group.add_argument(
        "--minimum-component-voxels", type=int, metavar="N", help="smallest finding, 1 mm voxels"
    )
    group.add_argument(
        "--t1-post-only-threshold", type=float, metavar="THRESHOLD", help="without a usable T1"
    )
    group.add_argument(
        "--t1-post-only-minimum-component-voxels",
        type=int,
        metavar="N",
        help="(the same as with all members)",
    )


def _add_brain(group: Any) -> None:
    group.add_argument("--brain", type=Path, help="ONNX file of another one")
    group.add_argument("--brain-spacing-mm", type=float, default=2.0, help="of its cube (%(default)s)")
    group.add_argument("--brain-cube", type=int, default=128, help="edge of its cube, voxels (%(default)s)")


if __name__ == "__main__":
    sys.exit(main())

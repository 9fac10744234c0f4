"""`metserve canary`: the small study with a known answer that upkeep sends to our own receiver."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from cli.demo_study import prepare_folder
from phantom.dicom import write_study, write_truth
from phantom.study import PhantomSpec, generate_study

SPECIFICATION = PhantomSpec(seed=2, large_lesions=3, small_lesions=0, spacing_kji_mm=(2.5, 1.5, 1.5))
"""The smallest study tried that the released ensemble answers well: with every member it finds the three
lesions and nothing else. With slices of 4 mm it finds three things that are not there, and the ``preview``
profile misses a lesion."""


def make_canary(out: Path, console: Console) -> None:
    """Make the study and write down what is in it.

    Raises
    ------
    InvalidInput
        The folder holds something else.
    """
    prepare_folder(out)
    study = generate_study(SPECIFICATION)
    paths = write_study(study, out / "study")
    answer = write_truth(study, out)
    console.print(f"{len(paths)} images in {out / 'study'}, the answer in {answer}")
    console.print(f"set METSERVE_UPKEEP_CANARY_STUDY={out.resolve()} for the upkeep role")

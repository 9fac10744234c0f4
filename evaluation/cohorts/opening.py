"""Where cohorts come from, and which of their cases are run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInput
from evaluation.cohorts.case import Cohort
from evaluation.cohorts.imported.cohort import open_imported
from evaluation.cohorts.imported.dicom_studies import ChooseSeries
from evaluation.cohorts.synthetic.cohort import open_synthetic


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``total``, counted from 1: every ``total``-th case."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``1/2``.

        Raises
        ------
        InvalidInput
            It is not a number, a slash, and a number that is not smaller.
        """
        number, slash, total = text.partition("/")
        if slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
            return cls(int(number), int(total))
        raise InvalidInput(f"shard {text!r} cannot be read, expected something like 1/2 or 2/2")


def open_cohort(path: Path, anatomy_folder: Path | None, choose: ChooseSeries) -> Cohort:
    """Open a cohort: a TOML file holds synthetic studies, a folder imported ones.

    Parameters
    ----------
    anatomy_folder
        Label maps of the synthetic heads.
    choose
        Chooses the series of an imported DICOM study.

    Raises
    ------
    InvalidInput
        It is neither, or cannot be used.
    """
    if path.is_dir():
        return open_imported(path, choose)
    if path.is_file() and path.suffix == ".toml":
        return open_synthetic(path, anatomy_folder)
    raise InvalidInput(f"{path} is no cohort, expected a TOML file or a folder of studies")


def select_cases(
    cohort: Cohort, names: Sequence[str] = (), limit: int | None = None, shard: Shard | None = None
) -> tuple[str, ...]:
    """Return the cases to run, in the cohort's order: those named, the first so many of them, a part.

    Raises
    ------
    InvalidInput
        A name is not the cohort's, or no case is left.
    """
    unknown = sorted(set(names) - set(cohort.case_names))
    if unknown:
        raise InvalidInput(
            f"cohort {cohort.name} has no case {unknown}, expected some of {cohort.case_names}"
        )
    chosen = tuple(name for name in cohort.case_names if not names or name in names)[:limit]
    if shard is not None:
        chosen = chosen[shard.number - 1 :: shard.total]
    if not chosen:
        raise InvalidInput(f"no case of cohort {cohort.name} is left to run")
    return chosen

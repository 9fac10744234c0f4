"""StressRun: a row of the stress table."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.figures.results import Summary
from evaluation.figures.sweeps import SummarySensitivity


@dataclass(frozen=True, slots=True)
class StressRun:
    """The same networks measured on other scans.

    Parameters
    ----------
    summary
        None where all scans were refused.
    with_refused
        Sensitivity with the lesions of refused scans counted as missed; None where none was refused.
    """

    name: str
    summary: Summary | None
    with_refused: SummarySensitivity | None = None

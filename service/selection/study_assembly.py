"""What assembly last made of a study, kept for people: each series' verdict, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from core.settings import AssemblySettings
from core.study import AnalysisMode, Selection, SeriesRole, SeriesVerdict
from service.selection.assembly import ROLE_NAMES, Refusal, required_quiet_s


@dataclass(frozen=True, slots=True)
class StudyAssembly:
    """What assembly made of a study at one moment, whether or not a job came of it.

    Parameters
    ----------
    missing_role
        The series an analysis would be better with, or is impossible without; None: all are there.
    waits_because
        For people: what the study waited for, and for how long at most.
    """

    verdicts: tuple[SeriesVerdict, ...]
    missing_role: SeriesRole | None
    waits_because: str
    assembled_at: datetime


STUDY_ASSEMBLY = TypeAdapter(StudyAssembly)


def describe(result: Selection | Refusal, settings: AssemblySettings, now: datetime) -> StudyAssembly:
    """Put what assembly found into words."""
    missing_role = _missing_role(result)
    return StudyAssembly(
        verdicts=result.verdicts,
        missing_role=missing_role,
        waits_because=_words(result, missing_role, required_quiet_s(result, settings)),
        assembled_at=now,
    )


def _missing_role(result: Selection | Refusal) -> SeriesRole | None:
    if isinstance(result, Refusal):
        return SeriesRole.T1_POST
    return SeriesRole.T1 if result.mode is AnalysisMode.T1_POST_ONLY else None


def _words(result: Selection | Refusal, missing_role: SeriesRole | None, quiet_s: float) -> str:
    until = f"until nothing new has come for {quiet_s:g} s"
    if missing_role is None:
        return f"waits {until}; T1 and T1 post-contrast are there"
    head = f"waits for a {ROLE_NAMES[missing_role]} {until}"
    if isinstance(result, Refusal):
        return f"{head}: {result.message}"
    return f"{head}; without one the T1 post-contrast is analysed alone"

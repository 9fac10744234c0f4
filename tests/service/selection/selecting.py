"""Select series of a study made of datasets, and read what was selected."""

from __future__ import annotations

from pydicom import Dataset

from core.study import Selection, SeriesRole
from service.selection.assembly import Refusal, select_series
from tests.mr_headers import study_of

AGENT = "Gadovist"


def select(*series_of_datasets: list[Dataset]) -> Selection:
    result = select_series(study_of(*series_of_datasets))
    assert isinstance(result, Selection), result
    return result


def refuse(*series_of_datasets: list[Dataset]) -> Refusal:
    result = select_series(study_of(*series_of_datasets))
    assert isinstance(result, Refusal), result
    return result


def chosen(selection: Selection) -> dict[SeriesRole, int]:
    """Role -> series number."""
    return {verdict.role: verdict.series_number or 0 for verdict in selection.verdicts if verdict.role}


def pair(t1: int, t1_post: int) -> dict[SeriesRole, int]:
    return {SeriesRole.T1: t1, SeriesRole.T1_POST: t1_post}


def reasons(result: Selection | Refusal, number: int) -> str:
    return "; ".join(next(v.reasons for v in result.verdicts if v.series_number == number))

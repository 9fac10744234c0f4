from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.cohorts.case import Case, Cohort
from evaluation.cohorts.synthetic.cohort import open_synthetic
from evaluation.cohorts.synthetic.freeze import freeze
from tests.evaluation.small_cohort import HEADS, PLAN, keep_head, small_head


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for name, radius_mm in zip(HEADS, (46.0, 48.0), strict=True):
        keep_head(folder, small_head(name, radius_mm))
    return folder


@pytest.fixture(scope="session")
def frozen(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return freeze([PLAN], heads, tmp_path_factory.mktemp("cohorts"))[0]


@pytest.fixture(scope="session")
def cohort(frozen: Path, heads: Path) -> Cohort:
    return open_synthetic(frozen, heads)


@pytest.fixture(scope="session")
def case(cohort: Cohort) -> Case:
    return cohort.make(cohort.case_names[0])

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from phantom.study import PhantomSpec, PhantomStudy, generate_study
from tests.system.peers import Postgres, running
from tests.system.studies import WrittenStudy, write_copy


@pytest.fixture(scope="session")
def phantom() -> PhantomStudy:
    """A whole head with four large lesions and two small ones, coarse enough to be analysed in seconds."""
    return generate_study(PhantomSpec.small())


@pytest.fixture
def study(phantom: PhantomStudy, tmp_path: Path, request: pytest.FixtureRequest) -> WrittenStudy:
    """The phantom as a study of this test alone."""
    return write_copy(phantom, tmp_path / "study", request.node.name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    cluster = Postgres()
    with running(cluster):
        yield cluster

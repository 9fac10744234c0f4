from collections.abc import Iterator
from pathlib import Path

import pytest

from core import schema
from core.database import Sessions, open_engine, open_sessions


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'metserve.db'}")
    schema.upgrade(engine)
    yield open_sessions(engine)
    engine.dispose()

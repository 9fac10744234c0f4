from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import BigInteger, inspect
from sqlalchemy.pool import QueuePool

from core import schema
from core.database import open_engine


def test_as_many_connections_as_asked_for_are_open_at_once_and_kept(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}", connections=20)
    with ExitStack() as held:
        for _ in range(20):
            held.callback(engine.raw_connection().close)
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() == 20
    engine.dispose()


def test_an_object_of_more_than_2_gib_has_a_size(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    schema.upgrade(engine)
    columns = {column["name"]: column["type"] for column in inspect(engine).get_columns("instance")}
    engine.dispose()
    assert isinstance(columns["size_bytes"], BigInteger)

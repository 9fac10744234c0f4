"""A PACS with metserve beside it, as a hospital would have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.metserve import ROLES, UP, Metserve
from tests.system.peers import Orthanc, Postgres, Redis, free_port, running


@dataclass(frozen=True)
class Hospital:
    """The PACS routes what it gets to metserve, and gets the results."""

    pacs: Orthanc
    metserve: Metserve


@contextmanager
def embedded_hospital(folder: Path, **settings: object) -> Iterator[Hospital]:
    """Run `metserve up`: SQLite, and message files for a broker."""
    hospital = _plan(folder, UP, **settings)
    with running(hospital.pacs, hospital.metserve):
        yield hospital


@contextmanager
def distributed_hospital(
    folder: Path, postgres: Postgres, redis: Redis, database: str, **settings: object
) -> Iterator[Hospital]:
    """Run every role as a process of its own, with PostgreSQL and Redis between them.

    Parameters
    ----------
    database
        Name of the database to create.
    """
    database_url = postgres.new_database(database)
    hospital = _plan(folder, ROLES, database_url=database_url, broker_url=redis.url, **settings)
    with running(redis, hospital.pacs, hospital.metserve):
        yield hospital


def _plan(folder: Path, programs: tuple[str, ...], **settings: object) -> Hospital:
    port = free_port()
    pacs = Orthanc(folder / "pacs", port)
    metserve = Metserve(folder / "metserve", dicom_port=port, programs=programs, destination=pacs, **settings)
    return Hospital(pacs, metserve)

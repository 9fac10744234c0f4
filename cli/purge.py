"""`metserve purge`: what retention would remove, and removing it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from core.errors import InvalidInput
from service.upkeep.retention import Candidate, Obstacle, Retention

NEVER_FORCED = frozenset({Obstacle.STILL_ARRIVING, Obstacle.NO_JOB, Obstacle.UNFINISHED})
"""What no option overrides: the study has not had its outcome yet."""


def purge(
    retention: Retention,
    console: Console,
    *,
    older_than_days: float,
    study_instance_uid: str | None,
    dry_run: bool,
    force: bool,
) -> int:
    """List what may go and what stays and why; remove the first unless it is a dry run. Return how many.

    Raises
    ------
    InvalidInput
        Undelivered studies can only be forced one at a time, or the study is not known.
    """
    if force and study_instance_uid is None:
        raise InvalidInput("--force without --study; expected the one study whose undelivered results may go")
    candidates = retention.candidates(older_than_days, study_instance_uid)
    if study_instance_uid is not None and not candidates:
        raise InvalidInput(f"study {study_instance_uid} has no files here")
    going = [one for one in candidates if _may_go(one, force=force)]
    console.print(_table(candidates, going))
    if not dry_run:
        for candidate in going:
            retention.purge(candidate, "forced by hand" if candidate.obstacle else "by hand")
    console.print(f"{len(going)} of {len(candidates)} studies {'would be' if dry_run else 'were'} purged")
    return len(going)


def _may_go(candidate: Candidate, *, force: bool) -> bool:
    return candidate.obstacle is None or (force and candidate.obstacle not in NEVER_FORCED)


def _table(candidates: list[Candidate], going: list[Candidate]) -> Table:
    table = Table("study", "instances", "MB", "finished", "")
    for one in candidates:
        table.add_row(
            one.study_instance_uid,
            str(one.instances),
            f"{one.size_bytes / 1e6:.1f}",
            f"{one.finished_at:%Y-%m-%d %H:%M}" if one.finished_at else "",
            "goes" if one in going else f"stays: it {one.obstacle}",
        )
    return table

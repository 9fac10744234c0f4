"""A folder that changes as a whole: a new one is filled beside it, then takes its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def successor_of(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside one; it takes that one's name when the block ends without an error.

    An error in the block leaves the old folder as it was. The exchange is two renames: a process killed
    between them leaves the old folder as ``.<name>.old``, which ``recover`` puts back. Who opens the folder
    in that instant finds none: releases are not made where a service reads.

    Parameters
    ----------
    folder
        To be replaced; it may be missing.
    """
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = _beside(target, "new"), _beside(target, "old")
    recover(target)
    for leftover in (new, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    new.mkdir()
    try:
        yield new
        _exchange(target, new, old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put back the folder that a killed exchange left aside; do nothing where there is none."""
    target = folder.resolve()
    old = _beside(target, "old")
    if old.exists() and not target.exists():
        old.rename(target)


def _beside(target: Path, state: str) -> Path:
    return target.with_name(f".{target.name}.{state}")


def _exchange(target: Path, new: Path, old: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)

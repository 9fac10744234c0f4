"""A run's folder: a member's settings beside its checkpoints, and one log of everything."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from training.settings import TrainingSettings, settings_from_json, settings_to_json

SETTINGS_FILE = "settings.json"
"""In the folder of each member: trunks and members of a run are trained differently."""

LOG_FILE = "log.jsonl"

FIXED_SETTINGS = ("batch", "widths")
"""What a member keeps: its checkpoints count batches and hold weights."""

Record = dict[str, Any]
"""One line of the log."""


class RunLog:
    """Appends records to a file and shows them."""

    def __init__(self, run: Path) -> None:
        self._path = run / LOG_FILE

    def __call__(self, record: Record) -> None:
        """Add a line."""
        line = json.dumps(record)
        with self._path.open("a") as stream:
            stream.write(line + "\n")
        sys.stderr.write(line + "\n")


def check_run(run: Path) -> None:
    """Make sure that a folder is one of a run.

    Raises
    ------
    InvalidInput
        It is none.
    """
    if not any(run.glob(f"*/{SETTINGS_FILE}")):
        raise InvalidInput(f"{run} is no run of training, expected <member>/{SETTINGS_FILE} in it")


def read_settings(run: Path, member: str) -> TrainingSettings:
    """Read what a member of a run is trained with.

    Raises
    ------
    InvalidInput
        The run does not have it.
    """
    try:
        return settings_from_json((run / member / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{run} does not say how {member} is trained: {error}") from error


def write_settings(run: Path, member: str, settings: TrainingSettings) -> None:
    """Remember what a member is trained with."""
    path = run / member / SETTINGS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(settings_to_json(settings), encoding="utf-8")


def renew_settings(
    run: Path, member: str, given: Mapping[str, Any], trunk: str | None = None
) -> TrainingSettings:
    """Return a member's settings, those remembered replaced by those given now; nothing is written.

    Parameters
    ----------
    run, member
        Whose.
    given
        Settings by name.
    trunk
        The network of the run it starts from, if any: a new member takes over its settings.

    Raises
    ------
    InvalidInput
        One that cannot change any more was given.
    """
    path = run / member / SETTINGS_FILE
    if not path.exists():
        has_trunk = trunk is not None and (run / trunk / SETTINGS_FILE).exists()
        return replace(read_settings(run, str(trunk)) if has_trunk else TrainingSettings(), **given)
    settings = read_settings(run, member)
    for name in FIXED_SETTINGS:
        kept = getattr(settings, name)
        if given.get(name, kept) != kept:
            raise InvalidInput(f"{name} is {given[name]}, expected {kept} as in {path}")
    return replace(settings, **given)

"""What a run and its pool say about the networks exported from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import InvalidInput
from training.checkpoint import read_checkpoint
from training.pool import listing_from_json
from training.prepared import STUDY_FILE
from training.release.networks import CheckedMember
from training.run_folder import LOG_FILE, Record, check_run, read_settings
from training.settings import TRUNKS
from worker.model_evidence import MemberTraining, TrainingFacts, Trunk

UNKNOWN_COMMIT = "unknown"
"""What a run's log says when nobody told it the version of the code."""

FINAL_STEPS = 500
"""The final loss is the mean over so many last steps: single batches differ by more than networks do."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a release says about its training.

    Parameters
    ----------
    members
        By name.
    training
        Of all together.
    anatomies
        Names of the heads and patients; they stay out of the manifest.
    """

    members: dict[str, MemberTraining]
    training: TrainingFacts
    anatomies: frozenset[str]


@dataclass(frozen=True, slots=True)
class _PoolStudy:
    anatomy: str
    recipe: str
    is_imported: bool
    n_lesions: int


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a network is in its newest checkpoint, and the studies it drew from then; not its weights."""

    step: int
    study_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """A run's folder, read.

    Parameters
    ----------
    commit
        For networks whose log names none.
    """

    folder: Path
    records: tuple[Record, ...]
    commit: str

    def progress_of(self, name: str) -> _Progress | None:
        checkpoint = read_checkpoint(self.folder / name)
        if checkpoint is None:
            return None
        names = tuple(study.name for study in listing_from_json(checkpoint.facts["listing"]))
        if not names:
            raise InvalidInput(
                f"the checkpoint of {name} at step {checkpoint.step} lists no study, expected a trained one"
            )
        return _Progress(checkpoint.step, names)


def read_facts(run: Path, pool: Path, members: Sequence[CheckedMember], commit: str) -> RunFacts:
    """Collect the facts of the exported members and of what they were trained on.

    Parameters
    ----------
    run, pool
        Folders of ``training.train``.
    members
        Their files say how many patches they had seen; otherwise the newest checkpoint does.
    commit
        Version of the code that trained them, for those whose log does not say.

    Raises
    ------
    InvalidInput
        The run has no checkpoint of a member or one older than the file, or the pool lacks a study.
    """
    check_run(run)
    read = _Run(run, _read_log(run / LOG_FILE), commit)
    trained = {member.name: _progress_of(read, member) for member in members}
    trunks = {spec.name: trunk for spec in TRUNKS if (trunk := read.progress_of(spec.name)) is not None}
    seen = {name: progress.study_names for name, progress in (trained | trunks).items()}
    studies = {name: _read_study(pool, name) for name in sorted(set().union(*seen.values()))}

    def training(name: str, step: int) -> MemberTraining:
        return _training_of(read, name, step, [studies[study] for study in seen[name]])

    return RunFacts(
        members={name: training(name, progress.step) for name, progress in trained.items()},
        training=_summarise(
            studies.values(),
            [Trunk(name=name, **training(name, trunk.step).model_dump()) for name, trunk in trunks.items()],
        ),
        anatomies=frozenset(study.anatomy for study in studies.values()),
    )


def _progress_of(run: _Run, member: CheckedMember) -> _Progress:
    """Return how far a member was when its file was exported: training may have gone on since."""
    progress = run.progress_of(member.name)
    if progress is None:
        raise InvalidInput(f"{run.folder} has no checkpoint of {member.name}, expected the run it came from")
    if member.n_patches is None:
        return progress
    batch = read_settings(run.folder, member.name).batch
    step = member.n_patches // batch
    if step > progress.step:
        raise InvalidInput(
            f"{member.network.path} has seen {member.n_patches} patches, {run.folder} only "
            f"{progress.step * batch}: expected the run it was exported from"
        )
    return replace(progress, step=step)


def _training_of(run: _Run, name: str, step: int, studies: Sequence[_PoolStudy]) -> MemberTraining:
    settings = read_settings(run.folder, name)
    lines = _lines_of(run.records, name, step)
    start = _last_start(run.records, name)
    commit = start.get("commit", UNKNOWN_COMMIT)
    return MemberTraining(
        seed=start.get("seed", settings.seed),
        n_patches=step * settings.batch,
        patch_voxels=start.get("patch_voxels", settings.patch_voxels),
        final_loss=_final_loss(lines),
        n_studies=lines[-1]["studies"] if lines else len(studies),
        recipes=_recipes(studies),
        commit=run.commit if commit == UNKNOWN_COMMIT else commit,
    )


def _lines_of(records: Iterable[Record], name: str, last_step: int) -> list[Record]:
    """Return a network's lines by step; what a crash undid and was done again stands twice in the log."""
    by_step = {one["step"]: one for one in records if one.get("member") == name and one["step"] <= last_step}
    return [by_step[step] for step in sorted(by_step)]


def _last_start(records: Iterable[Record], name: str) -> Record:
    starts = [one for one in records if one.get("event") == "start" and name in one["members"]]
    return starts[-1] if starts else {}


def _final_loss(lines: Sequence[Record]) -> float | None:
    """Mean the last steps' losses; a line is the mean since the one before it."""
    total = weight = previous = 0.0
    for line in lines:
        steps, previous = line["step"] - previous, line["step"]
        if line["loss"] is not None and line["step"] > lines[-1]["step"] - FINAL_STEPS:
            total, weight = total + steps * line["loss"], weight + steps
    return round(total / weight, 4) if weight else None


def _summarise(studies: Iterable[_PoolStudy], trunks: Sequence[Trunk]) -> TrainingFacts:
    seen = list(studies)
    return TrainingFacts(
        n_studies=len(seen),
        n_lesions=sum(study.n_lesions for study in seen),
        n_anatomies=len({study.anatomy for study in seen}),
        n_imported=sum(study.is_imported for study in seen),
        recipes=_recipes(seen),
        trunks=tuple(trunks),
    )


def _recipes(studies: Iterable[_PoolStudy]) -> tuple[str, ...]:
    return tuple(sorted({study.recipe for study in studies}))


def _read_study(pool: Path, name: str) -> _PoolStudy:
    path = pool / name / STUDY_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _PoolStudy(
            content["anatomy"], content["recipe"], content["seed"] is None, len(content["lesions"])
        )
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"the run drew from study {name}, but {path} cannot be read ({error!r}): expected the run's pool"
        ) from error


def _read_log(path: Path) -> tuple[Record, ...]:
    """Read the records of a log; a run that was killed may have left half a line."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return tuple(record for line in lines if (record := _parse(line)) is not None)


def _parse(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None

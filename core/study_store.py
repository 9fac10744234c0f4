"""Study store: received instances, work and results as files under one folder of one file system.

Every file appears whole or not at all: written to a temporary name, synced, renamed, and the folder
synced. Names never come from a peer; they are hashes of the UIDs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from core.errors import Transient

OUT_OF_RESOURCES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
"""The disk, not the data, is at fault: the sender should try again later."""


OWNER_ONLY = 0o700
"""Mode of every folder; of the levels ``mkdir(parents=True)`` makes, only the last would get it."""


class StudyStore:
    """A folder, local or on a shared mount.

    Parameters
    ----------
    root
        Created when absent, readable by its owner only.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._temporary = self.root / "spool" / ".tmp"
        self._quarantine = self.root / "quarantine"
        self.root.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY)
        for folder in (
            self._temporary,
            self._quarantine,
            self.instances,
            self.root / "work",
            self.root / "results",
        ):
            make_durable_folder(folder, self.root)

    @property
    def instances(self) -> Path:
        """Folder of the received instances."""
        return self.root / "instances"

    @property
    def temporary_folder(self) -> Path:
        """Where files grow before they are committed; on the same file system as everything else."""
        return self._temporary

    def temporary_path(self) -> Path:
        """Return an unused path for a file in the making."""
        return self._temporary / f"{uuid4().hex}.part"

    def sweep_temporary(self) -> int:
        """Remove what a killed process left half written; return how many files that were."""
        leftovers = [path for path in self._temporary.iterdir() if path.is_file()]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def instance_path(self, study_instance_uid: str, sop_instance_uid: str, sha256: str) -> str:
        """Return the path of an instance, relative to the store.

        The content is part of the name: two deliveries of one UID with different bytes never meet.
        """
        study = hashlib.sha256(study_instance_uid.encode()).hexdigest()[:32]
        instance = hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:32]
        return f"instances/{study[:2]}/{study}/{instance}-{sha256[:16]}.dcm"

    def commit(self, temporary: Path, relative: str) -> Path:
        """Make a finished temporary file durable under its final name.

        Raises
        ------
        Transient
            The disk is full or failing; the temporary file is removed.
        """
        target = self.resolve(relative)
        try:
            make_durable_folder(target.parent, self.root)
            sync_file(temporary)
            os.replace(temporary, target)  # noqa: PTH105 - the atomic rename is meant
            sync_folder(target.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise Transient(f"cannot store a file under {self.root}: {error.strerror}") from error
        return target

    def quarantine(self, temporary: Path, reason: str) -> Path:
        """Keep an object that cannot be used, with the reason beside it; both are durable."""
        target = self._quarantine / f"{temporary.stem}.dcm"
        sync_file(temporary)
        os.replace(temporary, target)  # noqa: PTH105
        with atomic_file(target.with_suffix(".reason.txt")) as file:
            file.write_text(reason + "\n", encoding="utf-8")
        return target

    def work_folder(self, job_id: str, fence: int) -> Path:
        """Return the folder of one attempt's artefacts; made when absent."""
        return self._folder("work", job_id, str(fence))

    def results_folder(self, job_id: str, fence: int) -> Path:
        """Return the folder of one attempt's results; they count once the database names them."""
        return self._folder("results", job_id, str(fence))

    def jobs_with_work(self) -> list[str]:
        """Return the ids of the jobs that have artefacts."""
        return sorted(path.name for path in (self.root / "work").iterdir())

    def discard_work(self, job_id: str) -> None:
        """Remove a job's artefacts once it is finished."""
        shutil.rmtree(self.root / "work" / job_id, ignore_errors=True)

    def relative(self, path: Path) -> str:
        """Return a path relative to the store, as the database keeps it."""
        return path.resolve().relative_to(self.root).as_posix()

    def resolve(self, relative: str) -> Path:
        """Return the absolute path of something the database names.

        Raises
        ------
        ValueError
            The path leaves the store.
        """
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root):
            raise ValueError(f"{relative!r} leaves the store {self.root}")
        return path

    def free_bytes(self) -> int:
        """Return the free disk space, in bytes."""
        return shutil.disk_usage(self.root).free

    def _folder(self, *parts: str) -> Path:
        folder = self.resolve("/".join(parts))
        make_durable_folder(folder, self.root)
        return folder


def make_durable_folder(folder: Path, root: Path) -> None:
    """Make a folder somewhere below ``root``, for its owner only, that outlives a power cut.

    Levels that exist are synced too: another thread may have made one and not synced it yet.
    """
    levels = [folder, *folder.parents]
    for level in reversed(levels[: levels.index(root)]):
        level.mkdir(exist_ok=True, mode=OWNER_ONLY)
        sync_folder(level.parent)


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; on leaving it becomes ``target``, durably and at once.

    Nothing appears under ``target`` when the block raises.
    """
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        yield temporary
        sync_file(temporary)
        os.replace(temporary, target)  # noqa: PTH105
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, so that a renamed file is found after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

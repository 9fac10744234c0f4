"""What a stage of a job gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from core.errors import Transient, UnsuitableReason, UnsuitableStudy
from core.job import Stage
from core.job_records import ResultFile
from core.lesion import FindingsReport
from core.logs import logger
from core.study import SelectedSeries, Selection, SeriesRole
from core.study_store import StudyStore
from worker.volumes import SourceImages

ReportProgress = Callable[[float], None]
"""Called with the share (0..1) of the stage that is done."""


@dataclass(frozen=True)
class StageContext:
    """What a stage may know of its job.

    Parameters
    ----------
    instance_paths
        SOP Instance UID -> path relative to the store.
    artefacts
        Finished stage -> folder of its artefacts.
    work_folder, results_folder
        Of this attempt, and of no other.
    predecessor
        Report (SR) of the revision this one supersedes, relative to the store; None for the first.
    superseded
        Objects of older revisions that no revision has rejected yet, the newest revision first.
    """

    job_id: str
    study_instance_uid: str
    revision: int
    created_at: datetime
    selection: Selection
    instance_paths: Mapping[str, str]
    artefacts: Mapping[Stage, Path]
    work_folder: Path
    results_folder: Path
    store: StudyStore
    predecessor: str | None = None
    superseded: tuple[ResultFile, ...] = ()

    def read_predecessor(self) -> Dataset | None:
        """Read the report that this analysis supersedes; None when there is none that can be read."""
        if self.predecessor is None:
            return None
        return _read_older(self.store.resolve(self.predecessor))

    def read_superseded(self) -> tuple[Dataset, ...]:
        """Read the headers of the objects that a rejection note would name.

        A file that is gone or damaged cannot be named; the new results do not depend on it.
        """
        headers = (_read_older(self.store.resolve(file.path)) for file in self.superseded)
        return tuple(header for header in headers if header is not None)

    def read_images(self, *, with_pixels: bool) -> SourceImages:
        """Read the instances the job is bound to."""
        t1_post = self.selection.series_for(SeriesRole.T1_POST)
        t1 = self.selection.series_for(SeriesRole.T1)
        if t1_post is None:
            raise UnsuitableStudy(UnsuitableReason.NO_POST_CONTRAST, "the job names no T1-post series")
        return SourceImages(
            t1_post=tuple(self._read(t1_post, with_pixels=with_pixels)),
            t1=None if t1 is None else tuple(self._read(t1, with_pixels=with_pixels)),
        )

    def _read(self, series: SelectedSeries, *, with_pixels: bool) -> Iterable[Dataset]:
        for uid in series.sop_instance_uids:
            path = self.store.resolve(self.instance_paths[uid])
            yield read_instance(path, with_pixels=with_pixels)


@dataclass(frozen=True)
class StageResult:
    """What a stage adds to the job's record; ``report`` and ``files`` come from the last one."""

    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    report: FindingsReport | None = None
    files: Mapping[str, ResultFile] = field(default_factory=lambda: MappingProxyType({}))


StageFunction = Callable[[StageContext, ReportProgress], StageResult]


def _read_older(path: Path) -> Dataset | None:
    """Read the headers of an older result; None, and a warning, when it is gone or damaged."""
    if path.exists():
        with suppress(UnsuitableStudy):
            return read_instance(path, with_pixels=False)
    logger().warning("an older result cannot be read", file=path.name)
    return None


def read_instance(path: Path, *, with_pixels: bool) -> Dataset:
    """Read a stored instance.

    Raises
    ------
    Transient
        The disk cannot be read at present.
    UnsuitableStudy
        The file is damaged.
    """
    try:
        return dcmread(path, stop_before_pixels=not with_pixels)
    except OSError as error:
        raise Transient(f"cannot read {path.name}: {error.strerror}") from error
    except (InvalidDicomError, EOFError, ValueError) as error:
        message = f"{path.name} is damaged: {error}; expected a whole DICOM instance"
        raise UnsuitableStudy(UnsuitableReason.UNREADABLE_PIXELS, message) from error

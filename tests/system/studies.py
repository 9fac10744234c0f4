"""Phantom studies on disk, with the truth about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from core.study import SeriesRole
from phantom.dicom import PhantomIdentity, write_study
from phantom.study import PhantomStudy


@dataclass(frozen=True)
class WrittenStudy:
    """A study as a scanner would have made it: a folder a series."""

    phantom: PhantomStudy
    folder: Path
    study_instance_uid: str

    def series(self, role: SeriesRole) -> list[Path]:
        """Return a series' files, slice after slice."""
        return sorted((self.folder / role.value).iterdir())

    def uids(self, *roles: SeriesRole) -> set[str]:
        """Return the SOP Instance UIDs of whole series."""
        return {sop_instance_uid(path) for role in roles for path in self.series(role)}


def write_copy(phantom: PhantomStudy, folder: Path, key: str) -> WrittenStudy:
    """Write a phantom as a study of its own: another key, other UIDs."""
    identity = PhantomIdentity("PHANTOM^SYSTEM", "PHANTOM-SYSTEM", key)
    write_study(phantom, folder, identity=identity)
    return WrittenStudy(phantom, folder, identity.uid("study"))


def sop_instance_uid(path: Path) -> str:
    return str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)

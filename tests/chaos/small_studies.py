"""Studies of 40 tiny slices that assembly takes for T1 and T1-post: hundreds of them fit into a minute."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from tests.mr_headers import SIEMENS_MPRAGE, series, with_file_meta

SLICES = 20
"""The fewest that assembly takes for a volume."""


@dataclass(frozen=True)
class SmallStudy:
    """A study to send.

    Parameters
    ----------
    digests
        SOP Instance UID -> SHA-256 of its pixel data.
    """

    study_instance_uid: str
    datasets: Sequence[Dataset]
    digests: dict[str, str]


def make_small_study(number: int, *, root: str = "2.25.77") -> SmallStudy:
    """Make the study with this number; another number is another study of another patient."""
    uid = f"{root}.{number}"
    datasets = [
        *series(1, "t1", SIEMENS_MPRAGE, slices=SLICES, study_uid=uid),
        *series(2, "t1 KM", SIEMENS_MPRAGE, slices=SLICES, study_uid=uid),
    ]
    for dataset in datasets:
        dataset.PatientID = f"CHAOS-{number}"
        dataset.FrameOfReferenceUID = f"{uid}.9"
        dataset.SeriesInstanceUID = f"{uid}.{dataset.SeriesNumber}"
        own = hashlib.sha256(str(dataset.SOPInstanceUID).encode()).digest()
        size = len(dataset.PixelData)
        dataset.PixelData = (own * (size // len(own) + 1))[:size]
        with_file_meta(dataset)
    digests = {str(d.SOPInstanceUID): hashlib.sha256(d.PixelData).hexdigest() for d in datasets}
    return SmallStudy(uid, datasets, digests)

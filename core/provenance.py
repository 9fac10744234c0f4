"""Provenance: everything a result's identity depends on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.lesion import ModelIdentity
from core.uids import derive_uid

MANUFACTURER = "metserve"
MODEL_NAME = "metserve brain metastasis ensemble"
NOT_A_DEVICE = "Research use only, not a medical device."
RESEARCH_USE_NOTICE = f"{NOT_A_DEVICE} The networks were trained on synthetic studies, not on patients."


@dataclass(frozen=True, slots=True)
class Provenance:
    """Identity of one analysis: the same provenance gives the same UIDs and the same bytes.

    Parameters
    ----------
    study_instance_uid
        The study analysed.
    revision
        1 for the first analysis of the study, one more for each later one.
    model
        The model set and profile that ran.
    software_version
        metserve's own version.
    created_at
        When the job was created, with a time zone; ContentDate and ContentTime come from it.
    """

    study_instance_uid: str
    revision: int
    model: ModelIdentity
    software_version: str
    created_at: datetime

    def uid(self, *kind: str) -> str:
        """Return the UID of one of this analysis' objects, e.g. ``uid("seg", "series")``."""
        return derive_uid(
            self.study_instance_uid, self.model.digest, self.model.profile, str(self.revision), *kind
        )

    @property
    def device_uid(self) -> str:
        """UID of the algorithm as a device: it changes with every retrained member."""
        return derive_uid("device", self.model.digest)

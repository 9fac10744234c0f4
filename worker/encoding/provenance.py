"""Who made an object, with what, and when: equipment, algorithm, dates; nothing of it from a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    ObserverContext,
)
from pydicom import Dataset
from pydicom.sr.coding import Code

from core.provenance import MANUFACTURER, MODEL_NAME, RESEARCH_USE_NOTICE, Provenance
from worker.encoding.codes import ARTIFICIAL_INTELLIGENCE, DEVICE, SiteCodes
from worker.encoding.identity import apply_identity
from worker.encoding.part10 import file_meta_for

SERIAL_DIGITS = 16
"""Leading hexadecimal digits of the model digest: enough to tell models apart, short enough to read."""

MAX_LO_LENGTH = 64
"""Long String, PS3.5 6.2."""


def device_serial_number(provenance: Provenance) -> str:
    """Return the serial number of the algorithm: the head of the model digest."""
    return provenance.model.digest[:SERIAL_DIGITS]


def software_versions(provenance: Provenance) -> tuple[str, str]:
    """Return metserve's version and the model set's."""
    model = provenance.model
    software = f"metserve {provenance.software_version}"
    return software[:MAX_LO_LENGTH], f"{model.name} {model.version}"[:MAX_LO_LENGTH]


def equipment_attributes(provenance: Provenance) -> dict[str, Any]:
    """Return the Enhanced General Equipment module as highdicom's arguments; all four must be there."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": software_versions(provenance),
        "device_serial_number": device_serial_number(provenance),
    }


def series_description(what: str, provenance: Provenance) -> str:
    """Return a description that names the revision and the intended use, 64 characters at most."""
    return f"{what} r{provenance.revision} (AI, research use)"[:MAX_LO_LENGTH]


def algorithm_of_segments(provenance: Provenance) -> AlgorithmIdentificationSequence:
    """Return the algorithm identification of a segment (PS3.3 10.16)."""
    return AlgorithmIdentificationSequence(
        name=MODEL_NAME,
        family=ARTIFICIAL_INTELLIGENCE,
        version=_algorithm_version(provenance),
        source=MANUFACTURER,
        parameters=_parameters(provenance),
    )


def algorithm_of_measurements(provenance: Provenance) -> AlgorithmIdentification:
    """Return the algorithm identification of a measurement group (TID 4019)."""
    return AlgorithmIdentification(
        name=MODEL_NAME,
        version=_algorithm_version(provenance),
        parameters=[f"{key}={value}" for key, value in _parameters(provenance).items()],
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def device_observer(provenance: Provenance) -> ObserverContext:
    """Return the algorithm as the observer of a document (TID 1002, TID 1004)."""
    return ObserverContext(
        observer_type=CodedConcept.from_code(DEVICE),
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=provenance.device_uid,
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=device_serial_number(provenance),
        ),
    )


@dataclass(frozen=True, eq=False)
class Stamp:
    """Makes a finished object ours: dates, equipment, identity and file meta information.

    Parameters
    ----------
    identity
        Patient and study, from ``read_identity``.
    """

    identity: Dataset
    provenance: Provenance
    site_codes: SiteCodes

    def applied_to(self, dataset: Dataset) -> Dataset:
        """Stamp an object and return it; what its library took from the clock or itself is replaced."""
        purpose = self.site_codes.equipment_purpose
        _date(dataset, self.provenance.created_at)
        dataset.ContributingEquipmentSequence = [_equipment(self.provenance, purpose)]
        apply_identity(self.identity, dataset)
        dataset.file_meta = file_meta_for(dataset)
        return dataset


def _date(dataset: Dataset, created_at: datetime) -> None:
    for what in ("Series", "Content", "InstanceCreation"):
        setattr(dataset, f"{what}Date", created_at.strftime("%Y%m%d"))
        setattr(dataset, f"{what}Time", created_at.strftime("%H%M%S.%f"))


def _equipment(provenance: Provenance, purpose: Code) -> Dataset:
    """Return the algorithm as contributing equipment (IHE AIR; PS3.3 C.12.1)."""
    model = provenance.model
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = _coded(purpose)
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = MODEL_NAME
    item.DeviceSerialNumber = device_serial_number(provenance)
    item.SoftwareVersions = list(software_versions(provenance))
    item.DeviceUID = provenance.device_uid
    item.ContributionDateTime = provenance.created_at.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = (
        f"Model set {model.name} {model.version}, profile {model.profile}, SHA-256 {model.digest}, "
        f"described by its model card, CARD.md. {RESEARCH_USE_NOTICE}"
    )
    return item


def _algorithm_version(provenance: Provenance) -> str:
    return f"{provenance.model.version} ({provenance.model.profile})"[:MAX_LO_LENGTH]


def _parameters(provenance: Provenance) -> dict[str, str]:
    model = provenance.model
    return {"model_set": model.name, "profile": model.profile, "sha256": model.digest}


def _coded(code: Code) -> Sequence[Dataset]:
    return [CodedConcept.from_code(code)]

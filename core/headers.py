"""Header facts of an instance, read from its dataset; classic and Enhanced MR alike."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import pydicom.config
from pydantic import TypeAdapter
from pydicom import Dataset
from pydicom.multival import MultiValue

from core.study import InstanceHeader, Series, Study, Vector

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4.1"
ANALYSED_SOP_CLASSES = frozenset({MR_IMAGE_STORAGE, ENHANCED_MR_IMAGE_STORAGE})

MAX_FRAMES_READ = 20_000
"""More frames than any head study has: a header that claims more is not believed."""

INTEGER_STRING_RANGE = range(-(2**31), 2**31)
"""Values of VR IS, PS3.5 6.2; a database's integer holds no others."""

_ECHO_TYPES = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}
"""Echo Pulse Sequence (0018,9008) -> the values of Scanning Sequence (0018,0020)."""

INSTANCE_HEADER = TypeAdapter(InstanceHeader)
"""An instance's header facts to and from the JSON of ``InstanceRow.header``."""


def quiet_pydicom() -> None:
    """Keep header values out of pydicom's warnings and logs: they are patient data, read as they come."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.logger.addFilter(_is_error)
    warnings.filterwarnings("ignore", module=r"pydicom\.")


def read_instance_header(dataset: Dataset) -> InstanceHeader:
    """Read what assembly needs; a missing or malformed element becomes '' or None.

    Parameters
    ----------
    dataset
        An instance, pixels not needed.
    """
    first = _first_frame(dataset)
    acquisition_date, acquisition_time = _acquisition(dataset)
    return InstanceHeader(
        study_instance_uid=_uid(dataset, "StudyInstanceUID"),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID"),
        sop_instance_uid=_uid(dataset, "SOPInstanceUID"),
        sop_class_uid=_uid(dataset, "SOPClassUID"),
        modality=_text(dataset, "Modality"),
        manufacturer=_text(dataset, "Manufacturer"),
        series_number=_integer(dataset, "SeriesNumber"),
        instance_number=_integer(dataset, "InstanceNumber"),
        acquisition_number=_integer(dataset, "AcquisitionNumber"),
        acquisition_date=acquisition_date,
        acquisition_time=acquisition_time,
        series_description=_text(dataset, "SeriesDescription"),
        protocol_name=_text(dataset, "ProtocolName"),
        sequence_name=_text(dataset, "SequenceName") or _text(dataset, "PulseSequenceName"),
        body_part_examined=_text(dataset, "BodyPartExamined") or _anatomy(dataset, first),
        image_type=_texts(dataset, "ImageType"),
        frame_of_reference_uid=_text(dataset, "FrameOfReferenceUID"),
        rows=_integer(dataset, "Rows") or 0,
        columns=_integer(dataset, "Columns") or 0,
        number_of_frames=_integer(dataset, "NumberOfFrames") or 1,
        pixel_spacing_mm=_pair(_found(first, "PixelSpacing")),
        slice_thickness_mm=_number(first, "SliceThickness"),
        image_orientation=_orientation(first),
        frame_positions_lps_mm=_positions(dataset),
        contrast_bolus_agent=_contrast_agent(dataset),
        scanning_sequence=_scanning_sequence(dataset),
        sequence_variant=_texts(dataset, "SequenceVariant") or _spoiling(dataset),
        acquisition_contrast=_text(dataset, "AcquisitionContrast"),
        angio_flag=_text(dataset, "AngioFlag"),
        mr_acquisition_type=_text(dataset, "MRAcquisitionType"),
        repetition_time_ms=_number(first, "RepetitionTime"),
        echo_time_ms=_number(first, "EchoTime") or _number(first, "EffectiveEchoTime"),
        inversion_time_ms=_number(first, "InversionTime") or _number(first, "InversionTimes"),
        flip_angle_deg=_number(first, "FlipAngle"),
    )


def group_into_studies(headers: Iterable[InstanceHeader]) -> tuple[Study, ...]:
    """Group headers by study and series, in the order in which they first appear."""
    studies: dict[str, dict[str, list[InstanceHeader]]] = {}
    for header in headers:
        series = studies.setdefault(header.study_instance_uid, {})
        series.setdefault(header.series_instance_uid, []).append(header)
    return tuple(
        Study(study_uid, tuple(Series(uid, tuple(instances)) for uid, instances in series.items()))
        for study_uid, series in studies.items()
    )


def frame_groups(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """Yield the functional group items that describe one frame, the frame's own first.

    Parameters
    ----------
    dataset
        An Enhanced instance (PS3.3 C.7.6.16).
    frame
        Index from 0.
    """
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in [*per_frame[frame : frame + 1], *shared[:1]]:
        for element in groups:
            if element.VR == "SQ" and element.value:
                yield element.value[0]


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING


def _first_frame(dataset: Dataset) -> list[Dataset]:
    """Return where to look for a frame's attributes: the dataset itself, then its groups."""
    return [dataset, *frame_groups(dataset, 0)]


def _found(places: list[Dataset], keyword: str) -> Any:
    for place in places:
        value = place.get(keyword)
        if value not in (None, ""):
            return value
    return None


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else _cleaned(value)


def _acquisition(dataset: Dataset) -> tuple[str, str]:
    """Return date and local time; a DT may end in a zone offset (PS3.5 6.2): ``20261123101500.5+0100``."""
    moment = re.split("[+-]", _text(dataset, "AcquisitionDateTime"))[0]
    time = _text(dataset, "AcquisitionTime")
    date = _text(dataset, "AcquisitionDate") if time else ""
    return date or moment[:8], time or moment[8:]


def _uid(dataset: Dataset, keyword: str) -> str:
    """Return a UID as it came: whoever keeps it judges it first."""
    return str(dataset.get(keyword) or "")


def _texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return tuple(_cleaned(v) for v in values)


def _cleaned(value: Any) -> str:
    """Return a value as text without NUL, which PostgreSQL cannot hold."""
    return str(value).replace("\0", "").strip()


def _integer(dataset: Dataset, keyword: str) -> int | None:
    try:
        number = int(dataset.get(keyword, None))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number in INTEGER_STRING_RANGE else None


def _numbers(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return ()
    return numbers if all(math.isfinite(n) for n in numbers) else ()


def _number(places: list[Dataset], keyword: str) -> float | None:
    numbers = _numbers(_found(places, keyword))
    return numbers[0] if numbers else None


def _pair(value: Any) -> tuple[float, float] | None:
    numbers = _numbers(value)
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _orientation(places: list[Dataset]) -> tuple[float, float, float, float, float, float] | None:
    numbers = _numbers(_found(places, "ImageOrientationPatient"))
    return numbers if len(numbers) == 6 else None


def _positions(dataset: Dataset) -> tuple[Vector, ...]:
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        position = _numbers(dataset.get("ImagePositionPatient"))
        return ((position[0], position[1], position[2]),) if len(position) == 3 else ()
    frames = len(dataset.PerFrameFunctionalGroupsSequence)
    positions = [
        _numbers(_found(list(frame_groups(dataset, frame)), "ImagePositionPatient"))
        for frame in range(min(frames, MAX_FRAMES_READ))
    ]
    return tuple((p[0], p[1], p[2]) for p in positions if len(p) == 3)


def _contrast_agent(dataset: Dataset) -> str:
    agent = _text(dataset, "ContrastBolusAgent")
    if agent:
        return agent
    coded = dataset.get("ContrastBolusAgentSequence")
    return _cleaned(coded[0].get("CodeMeaning", "contrast agent")) if coded else ""


def _scanning_sequence(dataset: Dataset) -> tuple[str, ...]:
    """Return SE, GR, IR, EP; an Enhanced instance says the same in other words (PS3.3 C.8.13.4)."""
    classic = _texts(dataset, "ScanningSequence")
    if classic:
        return classic
    echo = _ECHO_TYPES.get(_text(dataset, "EchoPulseSequence"), ())
    inversion = ("IR",) if _text(dataset, "InversionRecovery") == "YES" else ()
    planar = ("EP",) if _text(dataset, "EchoPlanarPulseSequence") == "YES" else ()
    return (*echo, *inversion, *planar)


def _spoiling(dataset: Dataset) -> tuple[str, ...]:
    return ("SP",) if _text(dataset, "Spoiling") in {"RF", "GRADIENT", "RF_AND_GRADIENT"} else ()


def _anatomy(dataset: Dataset, places: list[Dataset]) -> str:
    region = _found(places, "AnatomicRegionSequence") or dataset.get("AnatomicRegionSequence")
    return _text(region[0], "CodeMeaning") if region else ""

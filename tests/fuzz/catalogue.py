"""A catalogue of malformed and hostile content, each item with what is expected to become of it.

An item is one file, or a whole study; the expectation names the reception, or the study's outcome.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.fuzz.mutations import as_file, data_set_start
from tests.mr_headers import (
    DIFFUSION,
    SAGITTAL,
    SIEMENS_MPRAGE,
    TIME_OF_FLIGHT,
    ct_series,
    enhanced,
    nested_sequences,
    series,
    with_file_meta,
)

SLICES = 20

STORED = "stored"
UNREADABLE = "refused: unreadable"
TRUNCATED = "refused: truncated_pixels"
SYNTAX = "refused: transfer_syntax"
INVALID_UID = "refused: invalid_uid"


@dataclass(frozen=True)
class FileItem:
    """One file and what becomes of it."""

    name: str
    make: Callable[[], bytes]
    expected: str
    syntax: str = ExplicitVRLittleEndian


@dataclass(frozen=True)
class StudyItem:
    """A study and its outcome: a mode of analysis with its flags, or the reason why it is unsuitable."""

    name: str
    make: Callable[[], list[Dataset]]
    expected: str


def one(**elements: object) -> Dataset:
    """Return one MR instance with these elements changed; None removes an element."""
    return series(1, "t1 mprage", SIEMENS_MPRAGE, slices=1, **elements)[0]


def whole() -> bytes:
    return as_file(one())


def _file(**elements: object) -> Callable[[], bytes]:
    return lambda: as_file(one(**elements))


def _raw(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in (b"OB", b"OW", b"UN", b"UT", b"SQ"):
        return head + b"\0\0" + struct.pack("<L", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def _with_bytes(extra: bytes, *, at: int = 0) -> Callable[[], bytes]:
    """Put encoded elements at the start of the data set, or so many bytes before its end."""

    def make() -> bytes:
        data = whole()
        where = len(data) - at if at else data_set_start(data)
        return data[:where] + extra + data[where:]

    return make


def _longest_length() -> bytes:
    data = whole()
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    return data[:at] + struct.pack("<L", 0xFFFFFFF0) + data[at + 4 :]


def _compressed(syntax: str, frame: bytes, **elements: object) -> Callable[[], bytes]:
    def make() -> bytes:
        dataset = one(**elements)
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
        with_file_meta(dataset, syntax)
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
        return buffer.getvalue()

    return make


def _out_of_order() -> bytes:
    data = whole()
    start, end = data_set_start(data), data.index(b"\xe0\x7f\x10\x00OW")
    middle = start + 8 + struct.unpack_from("<H", data, start + 6)[0]
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


PRIVATE_ELEMENTS = 100_000
RLE_BOMB = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 50_000
"""100 kB that unpack to 6 MB, with a header that promises 8 GB."""

FILES: tuple[FileItem, ...] = (
    FileItem("30 empty file", lambda: b"", UNREADABLE),
    FileItem("31 no preamble, no DICM", lambda: whole()[132:], UNREADABLE),
    FileItem("31 other letters than DICM", lambda: whole().replace(b"DICM", b"DISM", 1), UNREADABLE),
    FileItem("32 cut off in the file meta", lambda: whole()[:150], UNREADABLE),
    FileItem("32 cut off in the header", lambda: whole()[: data_set_start(whole()) + 101], UNREADABLE),
    FileItem("33 cut off in the pixels", lambda: whole()[:-10], TRUNCATED),
    FileItem("34 random bytes", lambda: bytes(range(256)) * 40, UNREADABLE),
    FileItem("34 an HTML page", lambda: b"<html><body>502 Bad Gateway</body></html>" * 20, UNREADABLE),
    FileItem("35 element of 4 GiB", _longest_length, TRUNCATED),
    FileItem(
        "35 header element of 4 GiB", _with_bytes(b"\x08\x00\x05\x00OB\0\0\xf0\xff\xff\xff"), UNREADABLE
    ),
    FileItem("36 odd length", _with_bytes(_raw(0x00080006, b"LO", b"abc")), STORED),
    FileItem(
        "36 undefined length, no delimiter",
        _with_bytes(b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff"),
        UNREADABLE,
    ),
    FileItem("37 65535 rows and columns", _file(Rows=65535, Columns=65535), TRUNCATED),
    FileItem("38 a billion frames", _file(NumberOfFrames=1_000_000_000), TRUNCATED),
    FileItem("38 minus one frame", _file(NumberOfFrames=-1), STORED),
    FileItem("39 7 bits allocated", _file(BitsAllocated=7), STORED),
    FileItem("39 64 bits allocated", _file(BitsAllocated=64), TRUNCATED),
    FileItem("40 no rows", _file(Rows=0), STORED),
    FileItem("41 rows as UL", _with_bytes(_raw(0x00280010, b"UL", struct.pack("<L", 4)), at=44), STORED),
    FileItem("42 no pixel data", _file(PixelData=None), TRUNCATED),
    FileItem(
        "43 RLE bomb", _compressed(RLELossless, RLE_BOMB, Rows=65535, Columns=65535), STORED, RLELossless
    ),
    FileItem("43 deflated", whole, SYNTAX, DeflatedExplicitVRLittleEndian),
    FileItem("43 big endian", whole, SYNTAX, ExplicitVRBigEndian),
    FileItem("43 unknown transfer syntax", whole, SYNTAX, "1.2.3.4"),
    FileItem(
        "44 corrupt JPEG 2000",
        _compressed(JPEG2000Lossless, b"\xff\x4f" + b"x" * 99),
        STORED,
        JPEG2000Lossless,
    ),
    FileItem(
        "45 JPEG of other size", _compressed(JPEGBaseline8Bit, b"\xff\xd8\xff\xd9"), STORED, JPEGBaseline8Bit
    ),
    FileItem("46 900 nested sequences", _with_bytes(nested_sequences(900)), UNREADABLE),
    FileItem("46 30 nested sequences", _with_bytes(nested_sequences(30)), STORED),
    FileItem(
        "47 100,000 private elements",
        _with_bytes(b"".join(_raw(0x00090000 + n % 0xFFFF, b"LO", b"") for n in range(PRIVATE_ELEMENTS))),
        STORED,
    ),
    FileItem("48 one text of 10 MB", _with_bytes(_raw(0x00080006, b"UT", b"x" * 10_000_000)), STORED),
    FileItem("49 an element twice", _with_bytes(_raw(0x00080060, b"CS", b"CT")), STORED),
    FileItem("49 elements out of order", _out_of_order, STORED),
    *(
        FileItem(f"50 patient name {name}", _file(PatientName=text), STORED)
        for name, text in {
            "as markup": "<img src=x onerror=alert(1)>",
            "as a template": "{{7*7}}",
            "as SQL": "'; DROP TABLE study; --",
            "with line breaks": "a\r\nlevel=critical",
            "as a formula": "=cmd|'/C calc'!A0",
            "written backwards": "\u202egnp.exe",
            "with a terminal escape": "\x1b[2J",
            "with NUL": "a\0b",
            "of 60,000 letters": "x" * 60_000,
            "of 70 components": "^" * 70,
        }.items()
    ),
    FileItem("18 UID that climbs out", _file(StudyInstanceUID="../../../evil"), INVALID_UID),
    FileItem("18 UID that is a path", _file(SeriesInstanceUID="/etc/cron.d/x"), INVALID_UID),
    FileItem("18 UID of 65 characters", _file(StudyInstanceUID="1." + "2" * 63), INVALID_UID),
    FileItem("18 UID with a leading zero", _file(StudyInstanceUID="1.2.03"), STORED),
    FileItem("18 no study UID", _file(StudyInstanceUID=None), INVALID_UID),
    FileItem(
        "19 another SOP Instance UID inside", _file(SOPInstanceUID="2.25.1"), "refused: sop_instance_mismatch"
    ),
    FileItem(
        "20 another SOP class inside",
        _file(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
        "refused: sop_class_mismatch",
    ),
    *(
        FileItem(f"51 character set {name}", _file(SpecificCharacterSet=charset), STORED)
        for name, charset in {
            "unknown": "ISO_IR 999",
            "Japanese with escapes": ["", "ISO 2022 IR 87"],
            "UTF-8": "ISO_IR 192",
            "nonsense": "\\\\\\",
        }.items()
    ),
    FileItem("52 no patient ID", _file(PatientID=None), STORED),
    FileItem("57 an age of nobody", _file(PatientAge="999Y", PatientSex="X"), STORED),
    FileItem("61 a date to come", _file(StudyDate="29991231"), STORED),
    FileItem("61 a date that is none", _file(StudyDate="20261399", StudyTime="996161"), STORED),
)


def both(post: dict[str, object] | None = None, t1: dict[str, object] | None = None) -> list[Dataset]:
    """Return T1 and T1-post of a study, with elements of one of them changed."""
    return [
        *series(1, "t1", SIEMENS_MPRAGE, slices=SLICES, **(t1 or {})),
        *series(2, "t1 KM", SIEMENS_MPRAGE, slices=SLICES, **(post or {})),
    ]


def _changed(change: Callable[[list[Dataset]], None]) -> Callable[[], list[Dataset]]:
    """Change the slices of T1-post."""

    def make() -> list[Dataset]:
        datasets = both()
        change(datasets[SLICES:])
        return datasets

    return make


def _remove_a_slice() -> list[Dataset]:
    datasets = both()
    del datasets[SLICES + 9]
    return datasets


def _duplicate_position(post: list[Dataset]) -> None:
    post[5].ImagePositionPatient = post[4].ImagePositionPatient


def _stretch(post: list[Dataset]) -> None:
    for index, dataset in enumerate(post):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, float(z) + (10 if index > 12 else 0)]


def _turn_half(post: list[Dataset]) -> None:
    for dataset in post[10:]:
        dataset.ImageOrientationPatient = list(SAGITTAL)


def _reverse(post: list[Dataset]) -> None:
    positions = [dataset.ImagePositionPatient for dataset in post]
    for dataset, position in zip(post, reversed(positions), strict=True):
        dataset.ImagePositionPatient = position


def _two_frames_of_reference(post: list[Dataset]) -> None:
    for dataset in post[10:]:
        dataset.FrameOfReferenceUID = "2.25.6999"


def _two_patients(post: list[Dataset]) -> None:
    for dataset in post:
        dataset.PatientID, dataset.PatientName = "SOMEBODY-ELSE", "Else^Somebody"


def _all(**elements: object) -> Callable[[list[Dataset]], None]:
    def change(post: list[Dataset]) -> None:
        for dataset in post:
            for keyword, value in elements.items():
                setattr(dataset, keyword, value)

    return change


KNEE: dict[str, object] = {"BodyPartExamined": "KNEE", "StudyDescription": "MR knee"}
FULL, POST_ONLY = "full", "t1_post_only"

STUDIES: tuple[StudyItem, ...] = (
    StudyItem("a healthy study", both, FULL),
    StudyItem("53 a slice is missing", _remove_a_slice, "unsupported_geometry"),
    StudyItem("53 two slices at one place", _changed(_duplicate_position), "irregular_geometry"),
    StudyItem("53 uneven spacing", _changed(_stretch), "irregular_geometry"),
    StudyItem("53 mixed orientation", _changed(_turn_half), "unsupported_geometry"),
    StudyItem("53 reversed order", _changed(_reverse), FULL),
    StudyItem("53 two frames of reference", _changed(_two_frames_of_reference), "irregular_geometry"),
    StudyItem("53 no pixel spacing", _changed(_all(PixelSpacing=None)), "unsupported_geometry"),
    StudyItem("53 pixel spacing of zero", _changed(_all(PixelSpacing=[0, 0])), "unsupported_geometry"),
    StudyItem("53 pixel spacing below zero", _changed(_all(PixelSpacing=[-1, 1])), "unsupported_geometry"),
    StudyItem(
        "53 cosines of no rotation",
        _changed(_all(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])),
        "irregular_geometry",
    ),
    StudyItem("54 no T1-post", lambda: series(1, "t1", SIEMENS_MPRAGE, slices=SLICES), "no_post_contrast"),
    StudyItem("54 T1-post alone", lambda: series(2, "t1 KM", SIEMENS_MPRAGE, slices=SLICES), POST_ONLY),
    StudyItem("54 a CT", lambda: ct_series(1), "no_mr_series"),
    StudyItem(
        "54 diffusion only", lambda: series(1, "ep2d_diff", DIFFUSION, slices=SLICES), "no_post_contrast"
    ),
    StudyItem(
        "54 angiography only", lambda: series(1, "TOF", TIME_OF_FLIGHT, slices=SLICES), "no_post_contrast"
    ),
    StudyItem(
        "54 a localiser of three slices",
        lambda: series(1, "localizer KM", SIEMENS_MPRAGE, slices=3),
        "no_post_contrast",
    ),
    StudyItem("54 Enhanced MR", lambda: [*enhanced(1, "t1"), *enhanced(2, "t1 KM", contrast=True)], FULL),
    StudyItem(
        "58 a series of one slice",
        lambda: series(2, "t1 KM", SIEMENS_MPRAGE, slices=1),
        "unsupported_geometry",
    ),
    StudyItem("59 a knee", lambda: both(KNEE, KNEE), "wrong_anatomy"),
    StudyItem("52 two patients in one study", _changed(_two_patients), FULL),
    StudyItem("61 acquisition times that are none", lambda: both({"AcquisitionTime": "996161"}), FULL),
)

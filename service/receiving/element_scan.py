"""The structure of an encoded data set, walked without reading a value (PS3.5 7).

A hostile header is judged here before any parser allocates or recurses for it.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import dictionary_VR

from core.errors import InvalidInput

PREAMBLE_BYTES = 132
"""128 bytes nobody reads and ``DICM``, PS3.10 7.1."""

MAX_SEQUENCE_DEPTH = 32
"""Real objects nest five to ten deep; 900 levels end some toolkits' processes."""

MAX_ELEMENTS = 2_000_000
"""More than an Enhanced MR of 10 000 frames has; a walk of this length takes seconds."""

UNDEFINED_LENGTH = 0xFFFFFFFF

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and Pixel Data."""

_LONG_FORM = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""VRs whose explicit length has 32 bits, PS3.5 table 7.1-1."""


class MalformedDataSet(InvalidInput):
    """The bytes are not a data set; the message says where."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The Pixel Data element of a data set.

    Parameters
    ----------
    length_bytes
        As declared; None when encapsulated in fragments.
    is_whole
        False when the file ends before the element does.
    """

    length_bytes: int | None
    is_whole: bool


@dataclass(frozen=True, slots=True)
class DataSetStructure:
    """Where the parts of a data set lie, in bytes from the start of the file."""

    start: int
    header_end: int
    pixels: PixelElement | None


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    vr: bytes
    length: int
    value_at: int


@dataclass(frozen=True, slots=True)
class _Level:
    """A sequence or an item being walked; ``end`` is None until its delimiter is met."""

    end: int | None
    implicit: bool
    holds: str


def scan_file(path: Path, *, implicit_vr: bool) -> DataSetStructure:
    """Walk a DICOM file (PS3.10) up to its pixel data.

    Parameters
    ----------
    implicit_vr
        How the data set after the file meta information is encoded; always little endian.

    Raises
    ------
    MalformedDataSet
        Not a DICOM file, cut off in its header, nested too deep, or endless.
    """
    with path.open("rb") as file:
        if path.stat().st_size < PREAMBLE_BYTES:
            raise MalformedDataSet("the file ends before its file meta information")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = _end_of_file_meta(content)
            return _Walk(content, start, implicit_vr).run()


def _end_of_file_meta(content: mmap.mmap) -> int:
    if content[128:132] != b"DICM":
        raise MalformedDataSet("the file has no DICM prefix")
    position = PREAMBLE_BYTES
    while position + 8 <= len(content) and content[position : position + 2] == b"\x02\x00":
        element = _read_element(content, position, implicit=False)
        position = element.value_at + element.length
    return position


class _Walk:
    """One walk over a data set, with a stack instead of recursion."""

    def __init__(self, content: mmap.mmap, start: int, implicit_vr: bool) -> None:
        self._content = content
        self._start = start
        self._position = start
        self._levels = [_Level(len(content), implicit_vr, "elements")]
        self._count = 0

    def run(self) -> DataSetStructure:
        while self._leave_finished_levels():
            level = self._levels[-1]
            element = _read_element(self._content, self._position, implicit=level.implicit)
            if element.tag in _PIXEL_DATA and len(self._levels) == 1:
                return DataSetStructure(self._start, self._position, self._pixels(element))
            self._step(level, element)
            self._count += 1
            if self._count > MAX_ELEMENTS:
                raise MalformedDataSet(f"the header has more than {MAX_ELEMENTS} elements")
        return DataSetStructure(self._start, self._position, None)

    def _leave_finished_levels(self) -> bool:
        """Close what ended here; return False at the end of the data set."""
        while self._levels and self._levels[-1].end == self._position:
            self._levels.pop()
        if self._levels and (self._levels[-1].end or len(self._content)) < self._position:
            raise MalformedDataSet(f"an element crosses the end of its item at byte {self._position}")
        return bool(self._levels)

    def _step(self, level: _Level, element: _Element) -> None:
        self._position = element.value_at
        if element.tag in (_ITEM_END, _SEQUENCE_END):
            self._close(element)
        elif level.holds == "items":
            self._open(_checked_item(element), level.implicit, "elements")
        elif level.holds == "fragments":
            self._skip(_checked_item(element))
        elif _is_sequence(element):
            self._open(element, level.implicit or element.vr == b"UN", "items")
        elif element.length == UNDEFINED_LENGTH:
            self._open(element, level.implicit, "fragments")
        else:
            self._skip(element)

    def _open(self, element: _Element, implicit: bool, holds: str) -> None:
        undefined = element.length == UNDEFINED_LENGTH
        end = None if undefined else element.value_at + element.length
        if end is not None and end > len(self._content):
            raise MalformedDataSet(_cut_off(element))
        self._levels.append(_Level(end, implicit, holds))
        depth = sum(level.holds == "items" for level in self._levels)
        if depth > MAX_SEQUENCE_DEPTH:
            raise MalformedDataSet(f"sequences nest deeper than {MAX_SEQUENCE_DEPTH}")

    def _close(self, element: _Element) -> None:
        if len(self._levels) == 1 or self._levels[-1].end is not None:
            raise MalformedDataSet(f"a delimiter without a sequence before byte {element.value_at}")
        self._levels.pop()

    def _skip(self, element: _Element) -> None:
        self._position = element.value_at + element.length
        if self._position > len(self._content):
            raise MalformedDataSet(_cut_off(element))

    def _pixels(self, element: _Element) -> PixelElement:
        if element.length != UNDEFINED_LENGTH:
            return PixelElement(element.length, element.value_at + element.length <= len(self._content))
        return PixelElement(None, self._fragments_end(element.value_at))

    def _fragments_end(self, position: int) -> bool:
        """Tell whether the fragments (PS3.5 A.4) go on to their delimiter."""
        while position + 8 <= len(self._content):
            fragment = _read_element(self._content, position, implicit=True)
            if fragment.tag != _ITEM:
                return fragment.tag == _SEQUENCE_END
            position = fragment.value_at + fragment.length
        return False


def _read_element(content: mmap.mmap, position: int, *, implicit: bool) -> _Element:
    try:
        group, number, length = struct.unpack_from("<HHL", content, position)
        tag = group << 16 | number
        if implicit or group == 0xFFFE:
            return _Element(tag, b"", length, position + 8)
        vr = content[position + 4 : position + 6]
        if vr in _LONG_FORM:
            return _Element(tag, vr, struct.unpack_from("<L", content, position + 8)[0], position + 12)
        if not (vr.isalpha() and vr.isupper()):
            raise MalformedDataSet(f"no value representation at byte {position + 4}")
        return _Element(tag, vr, struct.unpack_from("<H", content, position + 6)[0], position + 8)
    except struct.error:
        raise MalformedDataSet(f"the header is cut off at byte {position}") from None


def _checked_item(element: _Element) -> _Element:
    if element.tag != _ITEM:
        raise MalformedDataSet(f"no item before byte {element.value_at} of a sequence")
    return element


def _is_sequence(element: _Element) -> bool:
    if element.vr == b"SQ":
        return True
    if element.tag in _PIXEL_DATA:
        return False
    undefined = element.length == UNDEFINED_LENGTH
    if element.vr == b"":
        return undefined or _dictionary_says_sequence(element.tag)
    return undefined and element.vr == b"UN"


def _dictionary_says_sequence(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False


def _cut_off(element: _Element) -> str:
    return f"element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) is longer than the rest of the file"

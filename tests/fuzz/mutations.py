"""Mutations of a valid DICOM file, as broken senders, broken disks and attackers make them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from io import BytesIO

from pydicom import Dataset
from pydicom.filewriter import dcmwrite

from tests.mr_headers import SIEMENS_MPRAGE, nested_sequences, series, with_file_meta

PREAMBLE_BYTES = 132
KNOWN_VRS = (b"AE", b"AS", b"CS", b"DA", b"DS", b"IS", b"LO", b"OB", b"OW", b"PN", b"SH", b"SQ", b"TM", b"UI")
HOSTILE_TEXTS = (
    "",
    " ",
    "\\",
    "\\\\\\",
    "NaN",
    "1e999",
    "-1",
    "0",
    "1.2.3",
    "../../etc/passwd",
    "\x00",
    "\x1b[31m",
    "\r\n",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}",
    "'; DROP TABLE study; --",
    "=cmd|'/C calc'!A0",
    "\u202ereversed",
    "9" * 400,
    "^" * 70,
    "=" * 70,
    "1" * 65,
    "\u00fc\u00df",
    "\u5c71\u7530",
    "20261399",
    "19000101",
    "256161.9999999",
)

Mutation = Callable[[random.Random, bytes], bytes]


def valid_file(number: int) -> bytes:
    """Return a valid MR instance; each number is an instance, and every fifth a study, of its own."""
    dataset = series(1, "t1 mprage", SIEMENS_MPRAGE, slices=1, study_uid=f"2.25.660.{number // 5}")[0]
    dataset.SOPInstanceUID = f"2.25.661.{number}"
    dataset.PixelData = number.to_bytes(4, "little") * 8
    return as_file(dataset)


def as_file(dataset: Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    buffer = BytesIO()
    dcmwrite(buffer, with_file_meta(dataset), enforce_file_format=True)
    return buffer.getvalue()


def flip_bits(chance: random.Random, data: bytes) -> bytes:
    """Flip one to eight bits anywhere in the data set."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(data_set_start(data), len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut_off(chance: random.Random, data: bytes) -> bytes:
    """End too early."""
    return data[: chance.randrange(data_set_start(data), len(data))]


def insert_noise(chance: random.Random, data: bytes) -> bytes:
    """Put random bytes somewhere."""
    at = chance.randrange(data_set_start(data), len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 64)) + data[at:]


def remove_bytes(chance: random.Random, data: bytes) -> bytes:
    """Lose some bytes in the middle."""
    at = chance.randrange(data_set_start(data), len(data))
    return data[:at] + data[at + chance.randint(1, 32) :]


def repeat_a_part(chance: random.Random, data: bytes) -> bytes:
    """Send a part twice: elements appear twice, or out of order."""
    at = chance.randrange(data_set_start(data), len(data))
    part = data[at : at + chance.randint(8, 256)]
    return data[:at] + part * chance.randint(2, 4) + data[at:]


def change_a_length(chance: random.Random, data: bytes) -> bytes:
    """Claim another length for an element."""
    position, _, vr = chance.choice(_elements(data))
    changed = bytearray(data)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        struct.pack_into("<L", changed, position + 8, chance.choice((0, 1, 7, 2**31, 2**32 - 2, 2**32 - 1)))
    else:
        struct.pack_into("<H", changed, position + 6, chance.choice((0, 1, 3, 255, 65535)))
    return bytes(changed)


def change_a_vr(chance: random.Random, data: bytes) -> bytes:
    """Claim another value representation for an element."""
    position, _, _ = chance.choice(_elements(data))
    return data[: position + 4] + chance.choice((*KNOWN_VRS, b"ZZ", b"\0\0")) + data[position + 6 :]


def change_a_tag(chance: random.Random, data: bytes) -> bytes:
    """Give an element another tag."""
    position, _, _ = chance.choice(_elements(data))
    return data[:position] + struct.pack("<HH", *chance.sample(range(65536), 2)) + data[position + 4 :]


def shuffle_elements(chance: random.Random, data: bytes) -> bytes:
    """Send the elements in another order."""
    elements = _elements(data)
    parts = [data[at:end] for at, end, _ in elements]
    chance.shuffle(parts)
    return data[: elements[0][0]] + b"".join(parts)


def lose_an_element(chance: random.Random, data: bytes) -> bytes:
    """Leave an element out."""
    at, end, _ = chance.choice(_elements(data))
    return data[:at] + data[end:]


def put_hostile_text(chance: random.Random, data: bytes) -> bytes:
    """Put a text that means trouble into an element."""
    position, end, vr = chance.choice(_elements(data))
    text = chance.choice(HOSTILE_TEXTS).encode(chance.choice(("utf-8", "utf-16-le")))
    text += b" " * (len(text) % 2)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        element = data[position : position + 8] + struct.pack("<L", len(text)) + text
    else:
        element = data[position : position + 6] + struct.pack("<H", len(text)) + text
    return data[:position] + element + data[end:]


def nest(chance: random.Random, data: bytes) -> bytes:
    """Put sequences into sequences."""
    at = chance.choice(_elements(data))[0]
    return data[:at] + nested_sequences(chance.randint(1, 200)) + data[at:]


def replace_by_noise(chance: random.Random, data: bytes) -> bytes:
    """Random bytes after the file meta information."""
    return data[: data_set_start(data)] + chance.randbytes(chance.randint(0, 2048))


def spoil_the_meta(chance: random.Random, data: bytes) -> bytes:
    """Flip bits in preamble and file meta information."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(128, data_set_start(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, cut_off, insert_noise, remove_bytes, repeat_a_part, change_a_length, change_a_vr, change_a_tag,
    shuffle_elements, lose_an_element, put_hostile_text, nest, replace_by_noise, spoil_the_meta,
)  # fmt: skip


def mutated(seed: int) -> tuple[str, bytes]:
    """Return the mutation's name and the file; the same seed gives the same file."""
    chance = random.Random(seed)
    data = valid_file(seed)
    chosen = chance.choice(MUTATIONS)
    names = [chosen.__name__]
    data = chosen(chance, data)
    while chance.random() < 0.2 and len(data) > data_set_start(data) + 300:
        further = chance.choice((flip_bits, cut_off, insert_noise))
        names.append(further.__name__)
        data = further(chance, data)
    return "+".join(names), data


def data_set_start(data: bytes) -> int:
    """Return where the data set begins, behind the file meta information."""
    (length,) = struct.unpack_from("<L", data, PREAMBLE_BYTES + 8)
    return min(PREAMBLE_BYTES + 12 + int(length), len(data) - 1)


def _elements(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return (start, end, VR) of the elements of a valid, flat data set."""
    position, found = data_set_start(data), []
    while position + 8 <= len(data):
        vr = data[position + 4 : position + 6]
        if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
            (length,) = struct.unpack_from("<L", data, position + 8)
            end = position + 12 + length
        else:
            (length,) = struct.unpack_from("<H", data, position + 6)
            end = position + 8 + length
        found.append((position, end, vr))
        position = end
    return found

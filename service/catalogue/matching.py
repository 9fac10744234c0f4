"""Attribute matching (PS3.4 C.2.2.2) as conditions of a database statement; values are always bound.

Single value, list, wildcard, range and universal matching. Names match without regard to case (of ASCII
letters, where the database is SQLite) and by each component group; everything else, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from sqlalchemy import Boolean, ColumnElement, and_, false, func, literal, or_, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from core.errors import InvalidInput
from core.headers import INTEGER_STRING_RANGE

MAX_VALUES = 10_000
"""Values of one key; a statement of SQLite holds three times as many."""

LAST_TIME = "235959.999999"
"""What completes a time given to the hour, minute or second: 1015 ends with 101559.999999."""

_RANGE = re.compile(r"([0-9.:]*) *- *([0-9.:]*)")
_WILDCARD = re.compile(r"[*?]")

Column = Any
"""A column, of a table or an expression."""


class MatchesPattern(FunctionElement[bool]):
    """A column matches a pattern with ``*`` and ``?``, with regard to case in every database."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Column, pattern: str) -> None:
        super().__init__(column, literal(_glob(pattern)), literal(_like(pattern)))


@compiles(MatchesPattern)
def _compile_like(element: MatchesPattern, compiler: SQLCompiler, **options: Any) -> str:
    column, _, like = element.clauses
    return f"{compiler.process(column, **options)} LIKE {compiler.process(like, **options)} ESCAPE '\\'"


@compiles(MatchesPattern, "sqlite")
def _compile_glob(element: MatchesPattern, compiler: SQLCompiler, **options: Any) -> str:
    column, glob, _ = element.clauses
    return f"{compiler.process(column, **options)} GLOB {compiler.process(glob, **options)}"


def values_of(keys: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a key; none for universal matching.

    Raises
    ------
    InvalidInput
        The key cannot be read, or has too many values.
    """
    try:
        value = keys.get(keyword)
    except Exception as error:  # pydicom converts on access and raises what it likes
        raise InvalidInput(f"{keyword}: the value cannot be read; expected what its VR allows") from error
    several = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    if len(several) > MAX_VALUES:
        raise InvalidInput(f"{keyword} has {len(several)} values; expected {MAX_VALUES} at most")
    texts = (str("" if one is None else one).replace("\0", "").strip(" ") for one in several)
    return tuple(text for text in texts if text)


def match_uid(column: Column, values: Sequence[str]) -> ColumnElement[bool]:
    """List of UID matching; a lone asterisk, which some peers send, matches all."""
    return true() if "*" in values else column.in_(values)


def match_text(column: Column, values: Sequence[str]) -> ColumnElement[bool]:
    """Single value or wildcard matching."""
    return or_(*(_match_one_text(column, value) for value in values))


def match_name(column: Column, values: Sequence[str]) -> ColumnElement[bool]:
    """Match a person name, as a whole or by one of its component groups, without regard to case."""
    lowered = func.lower(column)
    patterns = (
        f"{before}{value}{after}" for value in values for before in ("", "*=") for after in ("", "=*")
    )
    return or_(*(MatchesLowered(lowered, pattern) for pattern in patterns))


def match_date(column: Column, values: Sequence[str]) -> ColumnElement[bool]:
    """Single value or range matching of dates."""
    return or_(*(_match_range(column, value.replace(".", ""), last="") for value in values))


def match_time(column: Column, values: Sequence[str]) -> ColumnElement[bool]:
    """Range matching of times; a time without seconds matches its whole minute."""
    return or_(*(_match_range(column, value.replace(":", ""), last=LAST_TIME) for value in values))


def match_number(column: Column, values: Sequence[str]) -> ColumnElement[bool]:
    """Single value matching of integer strings."""
    numbers = [int(value) for value in values if re.fullmatch(r"[+-]?[0-9]{1,12}", value)]
    return or_(false(), *(column == number for number in numbers if number in INTEGER_STRING_RANGE))


Matching = Callable[[Column, Sequence[str]], ColumnElement[bool]]

MATCHINGS: Mapping[str, Matching] = MappingProxyType(
    {
        "PatientName": match_name,
        "PatientID": match_text,
        "IssuerOfPatientID": match_text,
        "PatientBirthDate": match_date,
        "PatientSex": match_text,
        "StudyInstanceUID": match_uid,
        "StudyDate": match_date,
        "StudyTime": match_time,
        "StudyDescription": match_text,
        "AccessionNumber": match_text,
        "ModalitiesInStudy": match_text,
        "SeriesInstanceUID": match_uid,
        "Modality": match_text,
        "SeriesNumber": match_number,
        "SeriesDescription": match_text,
        "SOPClassUID": match_uid,
        "SOPInstanceUID": match_uid,
        "InstanceNumber": match_number,
    }
)
"""Keyword of every attribute that can be matched -> how."""


def conditions(keys: Dataset, columns: Mapping[str, Column]) -> list[ColumnElement[bool]]:
    """Return one condition for each key that has a value and a column.

    Raises
    ------
    InvalidInput
        A key cannot be read.
    """
    return [
        MATCHINGS[keyword](column, values)
        for keyword, column in columns.items()
        if keyword in MATCHINGS and (values := values_of(keys, keyword))
    ]


class MatchesLowered(FunctionElement[bool]):
    """A lowered column matches a pattern that the database lowers by the same rule."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Column, pattern: str) -> None:
        super().__init__(column, func.lower(literal(_like(pattern))))


@compiles(MatchesLowered)
def _compile_lowered(element: MatchesLowered, compiler: SQLCompiler, **options: Any) -> str:
    column, like = element.clauses
    return f"{compiler.process(column, **options)} LIKE {compiler.process(like, **options)} ESCAPE '\\'"


def _match_one_text(column: Column, value: str) -> ColumnElement[bool]:
    return MatchesPattern(column, value) if _WILDCARD.search(value) else column == value


def _match_range(column: Column, value: str, *, last: str) -> ColumnElement[bool]:
    """Match ``a-b``, ``a-``, ``-b`` or ``a``; ``last`` completes an end of lower precision."""
    found = _RANGE.fullmatch(value)
    if found is None and not re.fullmatch(r"[0-9.]+", value):
        return false()
    first, end = (found[1], found[2]) if found else (value, value)
    bounds = [column != ""]
    if first:
        bounds.append(column >= first)
    if end:
        bounds.append(column <= end + last[len(end) :])
    return and_(*bounds)


def _glob(pattern: str) -> str:
    """Return a pattern for GLOB, whose wildcards are DICOM's, and ranges in brackets beside them."""
    return pattern.replace("[", "[[]")


def _like(pattern: str) -> str:
    """Return a pattern for LIKE, whose own wildcards are escaped."""
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%").replace("?", "_")

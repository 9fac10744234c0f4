"""Identifiers of C-FIND, C-MOVE and C-GET: judged before anything is looked up (PS3.4 C.4, C.6)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydicom import Dataset
from pynetdicom import evt

from core.errors import InvalidInput
from service.catalogue.matching import values_of
from service.catalogue.query import Level
from service.retrieval.sop_classes import PATIENT_ROOT

UNIQUE_KEYS: Mapping[Level, str] = MappingProxyType(
    {
        Level.PATIENT: "PatientID",
        Level.STUDY: "StudyInstanceUID",
        Level.SERIES: "SeriesInstanceUID",
        Level.IMAGE: "SOPInstanceUID",
    }
)

_NEEDED_TO_FIND: Mapping[Level, str] = MappingProxyType(
    {Level.SERIES: "StudyInstanceUID", Level.IMAGE: "SeriesInstanceUID"}
)
"""Without the key of the level above, a search would run over every study."""


def identifier_of(event: evt.Event) -> Dataset:
    """Return a request's identifier.

    Raises
    ------
    InvalidInput
        It cannot be read.
    """
    try:
        identifier: Dataset = event.identifier
        identifier.get("QueryRetrieveLevel")
    except Exception as error:  # pydicom raises what it likes
        raise InvalidInput("the identifier cannot be read") from error
    return identifier


def level_of(event: evt.Event, identifier: Dataset) -> Level:
    """Return the level of a request.

    Raises
    ------
    InvalidInput
        There is none, or the information model does not have it.
    """
    allowed = [*Level] if event.context.abstract_syntax in PATIENT_ROOT else [*Level][1:]
    named = values_of(identifier, "QueryRetrieveLevel")
    if len(named) != 1 or named[0] not in allowed:
        raise InvalidInput(f"QueryRetrieveLevel is {'/'.join(named)!r}; expected {', '.join(allowed)}")
    return Level(named[0])


def check_query(level: Level, identifier: Dataset) -> None:
    """Judge the keys of a C-FIND.

    Raises
    ------
    InvalidInput
        The key of the level above is missing.
    """
    needed = _NEEDED_TO_FIND.get(level)
    if needed is not None and not values_of(identifier, needed):
        raise InvalidInput(f"a query at level {level} needs {needed}")


def retrieved_uids(level: Level, identifier: Dataset) -> dict[str, list[str]]:
    """Return the unique keys of a C-MOVE or C-GET by keyword, from its level up.

    Raises
    ------
    InvalidInput
        The unique key of the level is missing, or has wildcards.
    """
    levels = [*Level][: [*Level].index(level) + 1]
    uids = {key: list(values_of(identifier, key)) for key in (UNIQUE_KEYS[one] for one in levels)}
    unique = UNIQUE_KEYS[level]
    if not uids[unique]:
        raise InvalidInput(f"a retrieval at level {level} needs {unique}")
    if any(character in value for value in uids[unique] for character in "*?"):
        raise InvalidInput(f"{unique} has wildcards; expected one value or a list")
    return {key: values for key, values in uids.items() if values}

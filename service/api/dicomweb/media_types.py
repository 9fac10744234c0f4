"""What a client accepts, and in which form it gets something (PS3.18 8.7, RFC 9110 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Query

from service.api.problems import ApiError

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
JSON = "application/json"
MULTIPART = "multipart/related"
OCTET_STREAM = "application/octet-stream"
ANYTHING = "*/*"

ANY_TRANSFER_SYNTAX = "*"

LONGEST_HEADER = 2048
"""Characters read of one; browsers send some 100."""

MOST_CHOICES = 64
"""Media types of one Accept header; clients send up to ten."""

_QUOTED_OR_PLAIN = r'"(?:[^"\\]|\\.)*"|[^",;]+'
_ITEM = re.compile(rf"(?:{_QUOTED_OR_PLAIN}|;)+")
_PARAMETER = re.compile(rf"(?:{_QUOTED_OR_PLAIN})+")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+")


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type with its parameters, both in lower case.

    Parameters
    ----------
    name
        ``application/dicom``; ``*/*`` and ``image/*`` are wildcards.
    """

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the forms a client accepts.

    Parameters
    ----------
    name
        Media type of the thing itself, or of each part; may be a wildcard.
    is_multipart
        None: the client says ``*/*`` and takes either.
    transfer_syntax_uid
        ``*`` for any, None where the client names none.
    """

    name: str
    is_multipart: bool | None
    transfer_syntax_uid: str | None = None

    def includes(self, media_type: str) -> bool:
        """Tell whether a media type is one of those this choice stands for."""
        family = media_type.split("/")[0]
        return self.name in (ANYTHING, f"{family}/*", media_type)


def parse_media_type(text: str) -> MediaType | None:
    """Read one media type with its parameters; None for what is none."""
    name, *parameters = [part.strip() for part in _PARAMETER.findall(text[:LONGEST_HEADER])] or [""]
    if not _TYPE.fullmatch(name.lower()):
        return None
    pairs = (parameter.partition("=") for parameter in parameters)
    return MediaType(name.lower(), {key.strip().lower(): _unquoted(value.strip()) for key, _, value in pairs})


def parse_accept(header: str) -> tuple[Choice, ...]:
    """Return what a client accepts, what it likes best first; what cannot be read is left out."""
    items = _ITEM.findall(header[:LONGEST_HEADER])[:MOST_CHOICES]
    read = [media_type for item in items if (media_type := parse_media_type(item))]
    liked = [(quality, _choice(media_type)) for media_type in read if (quality := _quality(media_type)) > 0]
    return tuple(choice for _, choice in sorted(liked, key=lambda pair: -pair[0]))


def _accepted(  # the parameter goes before the header, PS3.18 8.3.3.1
    accept: Annotated[str, Header(description="Media types, PS3.18 8.7.")] = ANYTHING,
    accept_parameter: Annotated[
        str | None,
        Query(alias="accept", max_length=LONGEST_HEADER, include_in_schema=False),
    ] = None,
) -> tuple[Choice, ...]:
    return parse_accept(accept if accept_parameter is None else accept_parameter)


Accepted = Annotated[tuple[Choice, ...], Depends(_accepted)]
"""What the client of a request accepts, best first."""


def choose(accepted: Sequence[Choice], offers: Sequence[str], *, multipart: bool = False) -> str:
    """Return the media type to answer with.

    Parameters
    ----------
    offers
        Media types there are, the default first.

    Raises
    ------
    ApiError
        406: the client accepts none of them.
    """
    for choice in accepted:
        for offer in offers:
            if choice.includes(offer) and choice.is_multipart in (None, multipart):
                return offer
    raise not_acceptable(offers)


def choose_json(accepted: Sequence[Choice]) -> str:
    """Return the media type of an answer in DICOM JSON; XML is not offered.

    Raises
    ------
    ApiError
        406.
    """
    return choose(accepted, (DICOM_JSON, JSON))


def not_acceptable(offers: Sequence[str]) -> ApiError:
    """Return the problem of a client that accepts nothing there is."""
    return ApiError(HTTPStatus.NOT_ACCEPTABLE, f"the Accept header names nothing of: {', '.join(offers)}")


def _choice(media_type: MediaType) -> Choice:
    syntax = media_type.parameters.get("transfer-syntax")
    if media_type.name == MULTIPART:
        return Choice(media_type.parameters.get("type", ANYTHING).lower(), True, syntax)
    return Choice(media_type.name, None if media_type.name == ANYTHING else False, syntax)


def _quality(media_type: MediaType) -> float:
    text = media_type.parameters.get("q", "1")
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0


def _unquoted(value: str) -> str:
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value

"""Destinations: the peers that get results, and what each kind of system is given by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from core.results import ResultKind, StructureStyle


def _check_ae_title(value: str) -> str:
    stripped = value.strip()
    printable = stripped.isascii() and stripped.isprintable() and "\\" not in stripped
    if not 1 <= len(stripped) <= 16 or not printable:
        raise ValueError(f"AE title {value!r}: expected 1 to 16 printable ASCII characters, no backslash")
    return stripped


AETitle = Annotated[str, AfterValidator(_check_ae_title)]
Port = Annotated[int, Field(ge=1, le=65535)]


class ProfileName(StrEnum):
    """A kind of system that results are sent to."""

    PACS = "pacs"
    ECLIPSE = "eclipse"
    RAYSTATION = "raystation"
    GAMMAPLAN = "gammaplan"
    BRAINLAB = "brainlab"
    OHIF = "ohif"
    SLICER = "slicer"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of system is given.

    Parameters
    ----------
    objects
        Sent when the job published them, in this order.
    notices
        Whether it is told of studies that were not analysed.
    structure_style
        The style of METSERVE_WORKER_STRUCTURE_STYLE that suits it; None where structure sets are not
        sent. Advice for people: the worker writes one style for the whole installation.
    """

    objects: tuple[ResultKind, ...]
    notices: bool
    structure_style: StructureStyle | None


_VIEWED = (ResultKind.SEG, ResultKind.SR, ResultKind.RTSTRUCT)
_PLANNING = Profile((ResultKind.RTSTRUCT,), notices=False, structure_style=StructureStyle.NEUTRAL)

PROFILES: Mapping[ProfileName, Profile] = MappingProxyType(
    {
        ProfileName.PACS: Profile(
            (ResultKind.SEG, ResultKind.SR, ResultKind.OVERVIEW, ResultKind.REJECTION),
            notices=True,
            structure_style=None,
        ),
        ProfileName.ECLIPSE: _PLANNING,
        ProfileName.RAYSTATION: _PLANNING,
        ProfileName.GAMMAPLAN: _PLANNING,
        ProfileName.BRAINLAB: _PLANNING,
        ProfileName.OHIF: Profile(_VIEWED, notices=True, structure_style=StructureStyle.NEUTRAL),
        ProfileName.SLICER: Profile(_VIEWED, notices=False, structure_style=StructureStyle.NEUTRAL),
        ProfileName.CUSTOM: Profile((), notices=True, structure_style=None),
    }
)
"""The one table of the profiles. Planning systems take structure sets and nothing else of ours; an
archive that does not know a class refuses its object, so that a PACS is given no structure set unless
its site asks for it."""


class Destination(BaseModel):
    """Somebody who gets the results pushed; how, its subclasses say."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    """Short name for logs, metrics and REST."""
    profile: ProfileName = ProfileName.PACS
    """What kind of system it is; decides what the next two are unless they are given."""
    objects: tuple[ResultKind, ...] = PROFILES[ProfileName.PACS].objects
    """Which objects it gets, in this order."""
    notices: bool = PROFILES[ProfileName.PACS].notices
    """Whether it gets a notice for a study that was not analysed."""

    @property
    def where(self) -> str:
        """Say for people where it is."""
        raise NotImplementedError

    @property
    def commits(self) -> bool:
        """Tell whether it is asked to commit itself to keep what it stored."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _fill_from_profile(cls, values: Any) -> Any:
        """Put in what the profile says and the site did not."""
        if not isinstance(values, dict):
            return values
        try:
            name = ProfileName(values.get("profile", ProfileName.PACS))
        except ValueError:  # the field's own check names it
            return values
        if name is ProfileName.CUSTOM and "objects" not in values:
            raise ValueError("profile 'custom' says nothing about objects; expected a list of them")
        profile = PROFILES[name]
        return {"objects": profile.objects, "notices": profile.notices, **values}

    @field_validator("objects")
    @classmethod
    def _check_objects(cls, objects: tuple[ResultKind, ...]) -> tuple[ResultKind, ...]:
        if ResultKind.NOTICE in objects:
            raise ValueError("'notice' is no object to list; expected \"notices\": true")
        if len(set(objects)) < len(objects):
            raise ValueError(f"{', '.join(objects)}: expected each object once")
        return objects


class DicomDestination(Destination):
    """A peer that gets the results by C-STORE."""

    ae_title: AETitle
    """The peer's AE title."""
    host: str
    """The peer's host name or address."""
    port: Port
    """The peer's TCP port."""
    tls: bool = False
    """Whether it is reached by TLS; needs METSERVE_TLS_AUTHORITIES."""
    commitment: bool = False
    """Whether it is asked to commit itself to keep what it stored (storage commitment, PS3.4 J)."""

    @property
    def where(self) -> str:
        """Say for people where it is."""
        return f"{self.ae_title} at {self.host}:{self.port}"

    @property
    def commits(self) -> bool:
        """Tell whether it is asked to commit itself to keep what it stored."""
        return self.commitment


class WebDestination(Destination):
    """A DICOMweb server that gets the results by STOW-RS (PS3.18 10.5)."""

    url: str
    """Base of its DICOMweb service, for instance https://pacs.hospital.example/dicom-web."""
    token_file: Path | None = None
    """File with a bearer token; read at each push, so that it can be renewed."""
    username: str = ""
    """User of HTTP Basic authentication; goes with ``password_file``."""
    password_file: Path | None = None
    """File with that user's password; read at each push."""
    ca_file: Path | None = None
    """Certificate authorities the server is checked against, PEM; None: those of the system."""

    @property
    def where(self) -> str:
        """Say for people where it is."""
        return self.url

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r}: expected http://host/path or https://host/path")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("a url with a user, a query or a fragment: expected host and path alone")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file go together; expected both or none")
        if self.username and self.token_file is not None:
            raise ValueError("token_file and username exclude each other; expected one of them")
        return self


def _transport(value: Any) -> str:
    """Tell a DICOMweb server, which has a url, from a DICOM peer."""
    is_web = "url" in value if isinstance(value, dict) else isinstance(value, WebDestination)
    return "dicomweb" if is_web else "dicom"


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dicom")] | Annotated[WebDestination, Tag("dicomweb")],
    Discriminator(_transport),
]
"""As the settings hold it: with a ``url`` DICOMweb, else DICOM."""

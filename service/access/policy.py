"""Which role a route needs: one table. A route that is not in it is open to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from service.access.principal import Principal, Role


class Right(Enum):
    """What a route needs."""

    NONE = "none"
    """Open: nobody is asked who he is."""
    ENTER = "enter"
    """Anybody who is known, whatever his roles."""
    READ = "read"
    """See studies, findings, images and results."""
    SEND = "send"
    """Bring studies in."""
    OPERATE = "operate"
    """Analyse now, replay, send again."""
    ADMINISTER = "administer"
    """Purge, export, keys, audit trail."""


ROLES_WITH: Mapping[Right, frozenset[Role]] = MappingProxyType(
    {
        Right.READ: frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN, Role.SERVICE}),
        Right.SEND: frozenset({Role.OPERATOR, Role.ADMIN, Role.SERVICE}),
        Right.OPERATE: frozenset({Role.OPERATOR, Role.ADMIN}),
        Right.ADMINISTER: frozenset({Role.ADMIN}),
    }
)

API = "/api/v1"
DICOMWEB = "/dicomweb"
METRICS = "/metrics"

RIGHTS: Mapping[tuple[str, str], Right] = MappingProxyType(
    {
        ("GET", "/health/live"): Right.NONE,
        ("GET", "/health/ready"): Right.NONE,
        ("GET", "/version"): Right.NONE,
        ("GET", "/docs/start.js"): Right.NONE,
        ("GET", "/login"): Right.NONE,
        ("GET", "/login/callback"): Right.NONE,
        ("POST", "/logout"): Right.ENTER,
        ("GET", METRICS): Right.ENTER,
        ("GET", "/docs"): Right.ENTER,
        ("GET", "/openapi.json"): Right.ENTER,
        ("GET", f"{API}/principal"): Right.ENTER,
        ("GET", f"{API}/studies"): Right.READ,
        ("GET", f"{API}/studies/search"): Right.READ,
        ("POST", f"{API}/studies/search"): Right.READ,
        ("GET", f"{API}/studies/{{study_instance_uid}}"): Right.READ,
        ("GET", f"{API}/studies/{{study_instance_uid}}/lesions"): Right.READ,
        ("POST", f"{API}/studies/{{study_instance_uid}}/analysis"): Right.OPERATE,
        ("GET", f"{API}/jobs"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}/findings"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}/lesions"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}/lesions.csv"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}/seg"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}/sr"): Right.READ,
        ("GET", f"{API}/jobs/{{job_id}}/objects/{{kind}}"): Right.READ,
        ("POST", f"{API}/jobs/{{job_id}}/replay"): Right.OPERATE,
        ("POST", f"{API}/jobs/{{job_id}}/deliveries/{{destination}}/retry"): Right.OPERATE,
        ("GET", f"{API}/destinations"): Right.READ,
        ("GET", f"{API}/conditions"): Right.OPERATE,
        ("GET", f"{API}/audit"): Right.ADMINISTER,
        ("POST", f"{DICOMWEB}/studies"): Right.SEND,
        ("POST", f"{DICOMWEB}/studies/{{study_instance_uid}}"): Right.SEND,
    }
)
"""Method and template -> right. DICOMweb's many routes that read are told by their prefix."""

OPEN_PATHS = frozenset(template for (_, template), right in RIGHTS.items() if right is Right.NONE)

OPEN_FOLDERS = ("/docs/assets/",)
"""Scripts and styles of the documentation page: they are the same everywhere, and public."""


def right_for(method: str, template: str) -> Right | None:
    """Return what a route needs, None when the table does not know it."""
    if method == "GET" and template.startswith(f"{DICOMWEB}/"):
        return Right.READ
    return RIGHTS.get((method, template))


def has(principal: Principal, right: Right) -> bool:
    """Tell whether a principal has a right."""
    return right in {Right.NONE, Right.ENTER} or bool(principal.roles & ROLES_WITH[right])


def is_open(path: str) -> bool:
    """Tell whether a path asks nobody who he is; whatever is not named here does."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)

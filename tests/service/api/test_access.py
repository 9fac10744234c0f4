"""Every route asks for a right, and shows nobody what is another's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from core.audit import AuditAction, AuditKind
from core.database import Base, InstanceRow, SeriesRow, StudyRow
from core.job import JobState
from service.access.api_keys import KeyBook, KeyRequest
from service.access.gate import Gate
from service.access.policy import OPEN_PATHS, Right, has, right_for
from service.access.principal import Principal, Role
from service.api.app import create_app
from tests.service.api_client import ApiClient, CollectedAudit, add_delivery, api_parts, rate_limits
from tests.service.service_records import NOON, PATIENT_ID, STUDY_UID, MovedClock, Records

Method = tuple[str, str]

IDS = {
    "study_instance_uid": STUDY_UID,
    "series_instance_uid": f"{STUDY_UID}.2",
    "sop_instance_uid": f"{STUDY_UID}.2.1",
    "job_id": "job-1",
    "kind": "sr",
    "destination": "pacs",
    "frame_list": "1",
    "attribute_path": "00089999",
}
"""What stands in a path."""

BODIES: dict[str, dict[str, Any]] = {"/api/v1/studies/search": {"json": {}}}


class Site:
    """An application with one study of the scanner MRI1, its job, and keys."""

    def __init__(self, folder: Path) -> None:
        self.records = Records(folder)
        self.audit = CollectedAudit()
        records = self.records
        self.book = KeyBook(records.sessions, records.read_sessions, MovedClock(), os.urandom)
        gate = Gate(rate_limits(), self.audit, keys=self.book)
        self.app = create_app(api_parts(records, folder, audit=self.audit, gate=gate))
        self.client = ApiClient(self.app)

    def key(self, *roles: Role, sources: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the header of a new key."""
        key = self.book.create(KeyRequest("program", frozenset(roles), frozenset(sources)))
        return {"X-API-Key": key}

    def fill(self) -> None:
        self.records.add_job(state=JobState.ENCODED, kinds=("seg", "sr"))
        self.records.change(self._add_instance)
        add_delivery(self.records, _given_up())

    def ask(self, method: str, template: str, headers: dict[str, str]) -> httpx.Response:
        path = template.format(**IDS)
        arguments = BODIES.get(template, {})
        return self.client._ask(method, path, headers=headers, **arguments)

    @staticmethod
    def _add_instance(session: Any) -> None:
        series = session.query(SeriesRow).filter_by(series_instance_uid=f"{STUDY_UID}.2").one()
        series.instances.append(
            InstanceRow(
                sop_instance_uid=IDS["sop_instance_uid"],
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                sha256="0" * 64,
                size_bytes=1,
                path="nowhere.dcm",
                header={},
                calling_ae_title="MRI1",
                received_at=NOON,
            )
        )


def _given_up() -> Any:
    from service.delivery.outbox import DeliveryState

    return DeliveryState.GIVEN_UP


def routes_of(app: FastAPI) -> Iterator[Method]:
    """Yield method and template of every route."""
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            yield method, str(route.path)


@pytest.fixture(scope="module")
def every_route(tmp_path_factory: pytest.TempPathFactory) -> list[Method]:
    return sorted(routes_of(Site(tmp_path_factory.mktemp("routes")).app))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def guarded(routes: list[Method]) -> list[Method]:
    return [route for route in routes if right_for(*route) is not Right.NONE]


def with_ids(routes: list[Method]) -> list[Method]:
    return [route for route in guarded(routes) if re.search(r"\{(study_instance_uid|job_id)\}", route[1])]


def test_the_policy_knows_every_route(every_route: list[Method]) -> None:
    assert [route for route in every_route if right_for(*route) is None] == []


def test_what_is_open_holds_no_patient(every_route: list[Method]) -> None:
    opened = {template for method, template in every_route if right_for(method, template) is Right.NONE}
    assert opened == OPEN_PATHS
    assert opened == {
        "/health/live",
        "/health/ready",
        "/version",
        "/docs/start.js",
        "/login",
        "/login/callback",
    }


def test_without_a_key_no_route_answers(site: Site, every_route: list[Method]) -> None:
    site.fill()
    for method, template in guarded(every_route):
        reply = site.ask(method, template, {})
        assert reply.status_code == 401, template
        assert reply.headers["www-authenticate"].startswith("Bearer"), template
        assert reply.headers["content-type"] == "application/problem+json"


def test_paths_that_lead_nowhere_are_not_told_apart_without_a_key(site: Site) -> None:
    for path in ("/nowhere", "/api/v1/nowhere", "/docs/../api/v1/studies", "//api/v1/studies"):
        assert site.client.get(path).status_code == 401, path


@pytest.mark.parametrize(
    "path", ["/docs/assets/../../api/v1/studies", "/docs/assets/%2e%2e/%2e%2e/api/v1/studies"]
)
def test_no_detour_leads_past_the_gate(site: Site, path: str) -> None:
    site.fill()
    reply = site.client.get(path)
    assert reply.status_code in {401, 403, 404}
    assert PATIENT_ID not in reply.text


def test_a_key_without_the_role_is_refused_and_that_is_told(site: Site, every_route: list[Method]) -> None:
    site.fill()
    viewer = site.key(Role.VIEWER)
    for method, template in guarded(every_route):
        right = right_for(method, template)
        assert right is not None
        may = has(Principal("viewer", frozenset({Role.VIEWER})), right)
        if may and template.startswith("/dicomweb"):
            continue  # the instance here has no file
        reply = site.ask(method, template, viewer)
        assert (reply.status_code == 403) != may, template
        assert reply.status_code != 401, template
    refusals = [event for event in site.audit.events if event.kind is AuditKind.SECURITY_ALERT]
    assert refusals
    assert {event.actors[0].user_id for event in refusals} == {"program"}


@pytest.mark.parametrize(
    ("role", "right", "may"),
    [
        (Role.VIEWER, Right.READ, True),
        (Role.VIEWER, Right.OPERATE, False),
        (Role.VIEWER, Right.SEND, False),
        (Role.OPERATOR, Right.OPERATE, True),
        (Role.OPERATOR, Right.ADMINISTER, False),
        (Role.SERVICE, Right.SEND, True),
        (Role.SERVICE, Right.READ, True),
        (Role.SERVICE, Right.OPERATE, False),
        (Role.ADMIN, Right.ADMINISTER, True),
        (Role.ADMIN, Right.READ, True),
    ],
)
def test_roles_have_the_rights_that_are_described(role: Role, right: Right, may: bool) -> None:
    assert has(Principal("somebody", frozenset({role})), right) is may


def test_another_ones_study_is_as_if_it_were_not_there(site: Site, every_route: list[Method]) -> None:
    """Each route with an id answers the same for what is hidden and for what does not exist."""
    stranger = site.key(Role.ADMIN, Role.SERVICE, sources=("CT7",))
    routes = [route for route in with_ids(every_route) if route != ("POST", _STOW)]
    assert len(routes) > 10
    site.fill()
    hidden = {route: site.ask(*route, stranger) for route in routes}
    _forget_everything(site)
    for route, reply in hidden.items():
        unknown = site.ask(*route, stranger)
        assert reply.status_code == (204 if route[1].endswith(_SEARCHES) else 404), route
        assert unknown.status_code == reply.status_code, route
        assert reply.content == unknown.content, route
        assert PATIENT_ID not in reply.text


_SEARCHES = ("/series", "/instances")
"""QIDO-RS finds nothing, and says so without a body."""

_STOW = "/dicomweb/studies/{study_instance_uid}"
"""Takes instances of a study that need not be there yet; its own tests say whose it accepts."""


def test_the_one_whose_study_it_is_sees_it(site: Site, every_route: list[Method]) -> None:
    site.fill()
    own = site.key(Role.ADMIN, sources=("MRI1",))
    for path in ("/api/v1/studies/{study_instance_uid}", "/api/v1/jobs/{job_id}", "/api/v1/jobs/{job_id}/sr"):
        assert site.ask("GET", path, own).status_code == 200, path


def test_lists_and_counts_hold_only_what_is_visible(site: Site) -> None:
    site.fill()
    stranger, own = site.key(Role.ADMIN, sources=("CT7",)), site.key(Role.ADMIN, sources=("MRI1",))
    for headers, expected in ((stranger, 0), (own, 1)):
        assert site.client.get("/api/v1/studies", headers=headers).json()["total"] == expected
        assert site.client.get("/api/v1/jobs", headers=headers).json()["total"] == expected
        by_study = site.client.get(f"/api/v1/jobs?study_instance_uid={STUDY_UID}", headers=headers)
        assert by_study.json()["total"] == expected
        found = site.client.post("/api/v1/studies/search", json={"patient_id": PATIENT_ID}, headers=headers)
        assert found.json()["total"] == expected
        (pacs,) = site.client.get("/api/v1/destinations", headers=headers).json()["destinations"]
        assert sum(pacs["deliveries"].values()) == expected


def test_a_stranger_changes_nothing(site: Site) -> None:
    site.fill()
    stranger = site.key(Role.ADMIN, sources=("CT7",))
    for template in (
        "/api/v1/studies/{study_instance_uid}/analysis",
        "/api/v1/jobs/{job_id}/replay",
        "/api/v1/jobs/{job_id}/deliveries/{destination}/retry",
    ):
        site.ask("POST", template, stranger)
    with site.records.read_sessions() as session:
        assert session.query(StudyRow).one().analysis_requested_at is None
    assert site.records.job().deliveries[0].state == "given_up"


def test_reading_stands_in_the_audit_trail_once_in_a_while(site: Site) -> None:
    site.fill()
    headers = site.key(Role.VIEWER)
    for _ in range(3):
        site.ask("GET", "/api/v1/jobs/{job_id}/findings", headers)
    (event,) = (event for event in site.audit.events if event.kind is AuditKind.INSTANCES_ACCESSED)
    assert event.action is AuditAction.READ
    assert event.actors[0].user_id == "program"
    assert event.studies[0].study_instance_uid == STUDY_UID
    assert event.studies[0].patient_id == PATIENT_ID


def test_searching_and_acting_stand_in_the_audit_trail(site: Site) -> None:
    site.fill()
    headers = site.key(Role.OPERATOR)
    site.client.post("/api/v1/studies/search", json={"patient_id": PATIENT_ID}, headers=headers)
    site.ask("POST", "/api/v1/studies/{study_instance_uid}/analysis", headers)
    query, order = site.audit.events
    assert query.kind is AuditKind.QUERY
    assert PATIENT_ID in query.query
    assert (order.kind, order.action) == (AuditKind.INSTANCES_ACCESSED, AuditAction.EXECUTE)


def test_one_is_told_who_one_is(site: Site) -> None:
    reply = site.client.get("/api/v1/principal", headers=site.key(Role.VIEWER, sources=("MRI1",))).json()
    assert (reply["name"], reply["roles"], reply["sources"]) == ("program", ["viewer"], ["MRI1"])


def test_a_method_that_is_not_there_is_told_with_those_that_are(site: Site) -> None:
    reply = site.client._ask("PUT", "/dicomweb/studies/1.2", headers=site.key(Role.ADMIN))
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET, POST"


def test_openapi_says_what_a_guarded_route_is_asked_with(site: Site) -> None:
    document = site.client.get("/openapi.json", headers=site.key(Role.VIEWER)).json()
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            is_open = right_for(method.upper(), path) is Right.NONE
            assert bool(operation.get("security")) != is_open, path


def _forget_everything(site: Site) -> None:
    keys = [row for row in Base.metadata.sorted_tables if row.name != "api_key"]
    with site.records.engine.begin() as connection:
        for table in reversed(keys):
            connection.execute(table.delete())

"""A client of the REST application in this process, and what the application is made of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from limits.storage import MemoryStorage

from core.audit import AuditEvent
from core.broker import open_broker
from core.database import DeliveryRow
from core.destinations import DicomDestination
from core.settings import AccessSettings, ApiSettings, CommonSettings
from service.access.gate import Gate
from service.access.limits import RateLimits
from service.api.metrics import DatabaseCollector, open_registry
from service.api.parts import ApiParts
from service.delivery.outbox import DeliveryState
from tests.service.service_records import NOON, MovedClock, Records

PACS = DicomDestination(name="pacs", ae_title="PACS", host="pacs.example", port=104)


class CollectedAudit:
    """Keeps events for a test to look at."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


class ApiClient:
    """Asks an application in this process, over ASGI and nothing else."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self._ask("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self._ask("POST", path, **arguments)

    def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://metserve") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(ask())


def api_parts(records: Records, tmp_path: Path, **changed: Any) -> ApiParts:
    clock = MovedClock()
    values: dict[str, Any] = {
        "engine": records.engine,
        "sessions": records.sessions,
        "read_sessions": records.read_sessions,
        "store": records.store,
        "broker": open_broker(CommonSettings(data_dir=tmp_path / "store")),
        "clock": clock,
        "destinations": (PACS,),
        "minimum_free_bytes": 0,
        "software_version": "0.1.0",
        "registry": open_registry(DatabaseCollector(records.read_sessions, records.store, clock, ("pacs",))),
        "audit": CollectedAudit(),
        "settings": ApiSettings(),
        "access": AccessSettings(),
    }
    values |= changed
    values.setdefault("gate", Gate(rate_limits(), values["audit"]))
    return ApiParts(**values)


def rate_limits(requests_per_minute: int = 10_000, failures_per_minute: int = 100) -> RateLimits:
    return RateLimits(
        MemoryStorage(), requests_per_minute=requests_per_minute, failures_per_minute=failures_per_minute
    )


def add_delivery(records: Records, state: DeliveryState, **fields: Any) -> None:
    row = DeliveryRow(
        job_id="job-1", destination="pacs", state=state.value, next_try_at=NOON, created_at=NOON, **fields
    )
    records.change(lambda session: session.add(row))

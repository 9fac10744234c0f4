"""Composition of the delivery role: results to their destinations."""

from __future__ import annotations

import random
import threading

from core.clock import utc_now
from core.logs import configure_logs
from core.settings import CommonSettings, DeliverySettings
from core.signals import stop_on_signals
from service.delivery.courier import Courier
from service.main.parts import open_parts


def run_delivery(
    common: CommonSettings, settings: DeliverySettings, stop: threading.Event | None = None
) -> None:
    """Push results to the destinations until ``stop`` is set (default: SIGTERM, SIGINT)."""
    configure_logs(common, "delivery")
    stop = stop or stop_on_signals()
    parts = open_parts(common)
    courier = Courier(
        sessions=parts.sessions,
        read_sessions=parts.read_sessions,
        store=parts.store,
        settings=settings,
        clock=utc_now,
        jitter=random.random,
    )
    courier.run(stop)

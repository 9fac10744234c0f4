"""Lanes on a real Redis: an urgent job does not wait for the routine ones before it."""

from pathlib import Path

import pytest
from kombu import Connection, Consumer, Queue

from core.broker import open_broker, ring
from core.job import Lane, Stage
from core.settings import CommonSettings
from core.tasks import queues_of
from tests.system.peers import Redis

pytestmark = pytest.mark.system


def test_urgent_messages_are_handed_out_before_older_routine_ones(tmp_path: Path) -> None:
    redis = Redis(tmp_path / "redis")
    redis.start()
    try:
        app = open_broker(CommonSettings(data_dir=tmp_path, broker_url=redis.url))
        for number in range(6):
            ring(app, Stage.INFER, f"routine-{number}")
        for number in range(2):
            ring(app, Stage.INFER, f"urgent-{number}", Lane.URGENT)
        with app.connection_for_read() as connection:
            taken = _take_in_turn(connection, 8)
    finally:
        redis.stop()
    assert taken[:2] == ["urgent-0", "urgent-1"]
    assert taken[2:] == [f"routine-{number}" for number in range(6)]


def _take_in_turn(connection: Connection, count: int) -> list[str]:
    """Take messages one at a time, as a worker with one child does."""
    taken: list[str] = []

    def receive(body: list[list[str]], message: object) -> None:
        taken.append(body[0][0])
        message.ack()  # type: ignore[attr-defined]

    queues = [Queue(name) for name in queues_of([Stage.PREPARE, Stage.INFER])]
    with Consumer(connection, queues=queues, callbacks=[receive], prefetch_count=1, accept=["json"]):
        while len(taken) < count:
            connection.drain_events(timeout=20)
    return taken

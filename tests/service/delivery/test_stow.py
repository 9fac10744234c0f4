"""Delivery to a DICOMweb server: what is sent, and what each answer means for the delivery."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from core.destinations import WebDestination
from core.job import JobState
from service.delivery.outbox import DeliveryState
from tests.service.delivery_desk import courier, only_delivery
from tests.service.service_records import MovedClock, Records

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class WebServer:
    """A STOW-RS server that remembers its requests and answers as it is told."""

    answer: Callable[[list[str]], Answer]
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    stored: list[list[str]] = field(default_factory=list)
    """SOP Instance UIDs of each request, as read from its parts."""
    port: int = 0

    def destination(self, **fields: Any) -> WebDestination:
        url = f"http://127.0.0.1:{self.port}/dicom-web"
        return WebDestination(**{"name": "web", "url": url, "objects": ("seg", "sr"), **fields})


@contextmanager
def web_server(answer: Callable[[list[str]], Answer]) -> Iterator[WebServer]:
    web = WebServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            uids = uids_in(self.headers["Content-Type"], body)
            web.paths.append(self.path)
            web.headers.append(dict(self.headers))
            web.stored.append(uids)
            status, headers, content = web.answer(uids)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def uids_in(content_type: str, body: bytes) -> list[str]:
    """Read the parts with another library's eyes: each is a whole DICOM file."""
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert message.is_multipart()
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return [str(dcmread(BytesIO(part)).SOPInstanceUID) for part in parts if isinstance(part, bytes)]


def everything_stored(uids: list[str]) -> Answer:
    return 200, {}, details(stored=uids)


def details(*, stored: list[str] = (), failed: dict[str, int] | None = None) -> bytes:  # type: ignore[assignment]
    content: dict[str, Any] = {}
    if stored:
        content["00081199"] = {"vr": "SQ", "Value": [_reference(uid) for uid in stored]}
    if failed:
        items = [{**_reference(uid), "00081197": {"vr": "US", "Value": [why]}} for uid, why in failed.items()]
        content["00081198"] = {"vr": "SQ", "Value": items}
    return json.dumps(content).encode()


def _reference(uid: str) -> dict[str, Any]:
    return {"00081155": {"vr": "UI", "Value": [uid]}}


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records(tmp_path)
    records.add_job()
    return records


def deliver(records: Records, clock: MovedClock, destination: WebDestination) -> Any:
    present = courier(records, clock, destination)  # type: ignore[arg-type]
    present.plan()
    present.deliver_due()
    return records.job()


def test_all_objects_go_out_in_one_request_and_arrive_whole(records: Records, clock: MovedClock) -> None:
    with web_server(everything_stored) as web:
        job = deliver(records, clock, web.destination())
    assert web.paths == ["/dicom-web/studies"]
    sent = [str(dcmread(records.result_path("job-1", kind)).SOPInstanceUID) for kind in ("seg", "sr")]
    assert web.stored == [sent]
    assert job.state == JobState.DELIVERED


def test_a_token_is_read_from_its_file_and_shown(records: Records, clock: MovedClock, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with web_server(everything_stored) as web:
        deliver(records, clock, web.destination(token_file=token))
    assert web.headers[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (0x0111, DeliveryState.DELIVERED),
        (0xA700, DeliveryState.PENDING),
        (0xA900, DeliveryState.GIVEN_UP),
    ],
    ids=["there already", "no room", "does not match"],
)
def test_what_is_said_of_one_object_decides(
    records: Records, clock: MovedClock, reason: int, state: DeliveryState
) -> None:
    def answer(uids: list[str]) -> Answer:
        return 202, {}, details(stored=uids[1:], failed={uids[0]: reason})

    with web_server(answer) as web:
        job = deliver(records, clock, web.destination())
    assert only_delivery(job).state == state


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_server_that_takes_nothing_now_is_tried_again(
    records: Records, clock: MovedClock, status: int
) -> None:
    with web_server(lambda _uids: (status, {}, b"not now")) as web:
        job = deliver(records, clock, web.destination())
    assert only_delivery(job).state == DeliveryState.PENDING
    assert f"HTTP {status}" in only_delivery(job).last_error


def test_a_server_that_names_a_time_is_left_alone_until_then(records: Records, clock: MovedClock) -> None:
    with web_server(lambda _uids: (503, {"Retry-After": "900"}, b"")) as web:
        job = deliver(records, clock, web.destination())
    assert (only_delivery(job).next_try_at - clock.now).total_seconds() == 900


def test_a_redirect_is_not_followed_and_is_named(records: Records, clock: MovedClock) -> None:
    with web_server(lambda _uids: (307, {"Location": "http://elsewhere.example/"}, b"")) as web:
        job = deliver(records, clock, web.destination())
    assert len(web.paths) == 1
    assert "expected the address it redirects to" in only_delivery(job).last_error


def test_a_server_that_is_away_is_tried_again(records: Records, clock: MovedClock) -> None:
    with web_server(everything_stored) as web:
        destination = web.destination()
    job = deliver(records, clock, destination)
    assert only_delivery(job).state == DeliveryState.PENDING
    assert "cannot be reached" in only_delivery(job).last_error


def test_an_answer_that_says_nothing_about_the_objects_is_believed_by_its_status(
    records: Records, clock: MovedClock
) -> None:
    with web_server(lambda _uids: (200, {}, b"<html>ok</html>")) as web:
        job = deliver(records, clock, web.destination())
    assert only_delivery(job).state == DeliveryState.DELIVERED

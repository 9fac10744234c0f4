"""A whole service for the length of a demo: its own folder, its own free ports."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.supervisor import ROLES, supervise
from core.errors import Transient
from core.settings import ApiSettings, ReceiverSettings, load

START_LIMIT_S = 90.0

DEFAULT_AE_TITLE = str(ReceiverSettings.model_fields["ae_title"].default)


@dataclass(frozen=True)
class ServiceAddress:
    """Where a running service takes studies and answers questions."""

    dicom_host: str
    dicom_port: int
    ae_title: str
    api_url: str


def configured_service() -> ServiceAddress:
    """Return the address the settings name."""
    receiver, api = load(ReceiverSettings), load(ApiSettings)
    return ServiceAddress(
        _reachable(receiver.host),
        receiver.port,
        receiver.ae_title,
        f"http://{_reachable(api.host)}:{api.port}",
    )


def is_ready(address: ServiceAddress) -> bool:
    """Tell whether a metserve answers there."""
    try:
        return httpx.get(f"{address.api_url}/health/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def embedded_service(folder: Path, overrides: Mapping[str, str]) -> Iterator[ServiceAddress]:
    """Run `metserve up` in a folder until the block ends; its log is service.log there.

    Parameters
    ----------
    folder
        Holds the study store, database and message files of this run.
    overrides
        Further environment variables of the roles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dicom_port, api_port = _free_ports(2)
    environment = {
        **environment_of_a_demo(),
        "METSERVE_DATA_DIR": str(folder.resolve()),
        "METSERVE_RECEIVER_PORT": str(dicom_port),
        "METSERVE_API_PORT": str(api_port),
        **overrides,
    }
    address = ServiceAddress("127.0.0.1", dicom_port, DEFAULT_AE_TITLE, f"http://127.0.0.1:{api_port}")
    stop = threading.Event()
    with (folder / "service.log").open("ab") as log:
        thread = threading.Thread(
            target=supervise, args=(ROLES, stop), kwargs={"env": environment, "log": log, "cwd": folder}
        )
        thread.start()
        try:
            _wait_until_ready(address, folder / "service.log")
            yield address
        finally:
            stop.set()
            thread.join()


def environment_of_a_demo() -> dict[str, str]:
    """Return this process' environment less the site's settings.

    A demo must never work on a site's database or queue, nor push a phantom to its PACS. What is
    kept says how to compute; an .env file is not read, since the roles run in the demo's folder.
    """
    kept = {f"METSERVE_WORKER_{name}" for name in ("MODELS_DIR", "DEVICE", "THREADS", "CACHE_DIR", "PROFILE")}
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - the roles are programs of their own
        if not name.upper().startswith("METSERVE_") or name.upper() in kept
    }


def _wait_until_ready(address: ServiceAddress, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not (is_ready(address) and _listens(address)):
        if time.monotonic() > deadline:
            raise Transient(f"the embedded service was not ready within {START_LIMIT_S:.0f} s; see {log}")
        time.sleep(0.3)


def _listens(address: ServiceAddress) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address.dicom_host, address.dicom_port)) == 0


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - listening everywhere includes loopback


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()

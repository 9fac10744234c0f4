"""`metserve send`: a folder to a peer by C-STORE."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from cli.folders import read_headers
from core.destinations import DicomDestination
from core.errors import InvalidInput, Transient
from service.delivery.association import Caller
from service.delivery.push import push
from service.delivery.push_report import Verdict
from service.delivery.results import ResultObject

TIMEOUT_S = 60.0


def send_folder(
    folder: Path, *, host: str, port: int, called_ae: str, calling_ae: str, console: Console
) -> int:
    """Send every instance below a folder over one association; return how many there were.

    Raises
    ------
    InvalidInput
        Nothing to send, or the peer refuses what it is sent.
    Transient
        The peer cannot be reached or is out of resources.
    """
    objects = [
        ResultObject(
            kind=path.name,
            path=path,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            sha256="",
        )
        for path, header in read_headers(folder)
    ]
    peer = DicomDestination(name="peer", ae_title=called_ae, host=host, port=port)
    console.print(f"sending {len(objects)} instances to {called_ae} at {host}:{port}")
    report = push(objects, peer, Caller(calling_ae, TIMEOUT_S))
    if report.verdict is Verdict.RETRY:
        raise Transient(_first_lines(report.message))
    if report.verdict is Verdict.REFUSED:
        raise InvalidInput(_first_lines(report.message))
    console.print(f"{len(objects)} instances were stored")
    return len(objects)


def _first_lines(message: str, shown: int = 5) -> str:
    """Keep the first few refusals: a study has hundreds of instances with the same one."""
    parts = [part for part in message.split("; ") if "stored with status" not in part]
    rest = len(parts) - shown
    return "; ".join(parts[:shown]) + (f"; and {rest} more" if rest > 0 else "")

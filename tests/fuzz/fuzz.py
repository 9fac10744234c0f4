"""Fuzzing the receiver: seeded mutations, most of them past the network, some hundreds through it."""

from __future__ import annotations

import resource
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt

from core.headers import MR_IMAGE_STORAGE
from core.settings import ReceiverSettings
from service.delivery.association import on_connected
from service.receiving.receiver import Receiver
from tests.fuzz.intake import Intake
from tests.fuzz.mutations import mutated
from tests.system.peers import free_port


@dataclass(frozen=True)
class FuzzReport:
    """What a run of mutations showed."""

    offered: int
    kinds: dict[str, int]
    studies: dict[str, int]
    crashes: dict[str, str]
    leftovers: list[str]
    slowest_s: float
    memory_growth_mb: float

    @property
    def is_clean(self) -> bool:
        return not self.crashes and not self.leftovers and self.offered == sum(self.kinds.values())


def fuzz_ingest(folder: Path, seeds: Iterable[int]) -> FuzzReport:
    """Offer mutations to the ingest, then let assembly judge what was taken."""
    intake = Intake(folder)
    before, offered = _peak_mb(), 0
    for seed in seeds:
        name, content = mutated(seed)
        intake.offer(f"{seed} {name}", content, sop_instance_uid=f"2.25.661.{seed}")
        offered += 1
    studies = intake.assemble()
    verdicts = intake.verdicts
    return FuzzReport(
        offered,
        dict(verdicts.kinds),
        dict(studies),
        verdicts.crashes,
        intake.leftovers(),
        verdicts.slowest_s,
        _peak_mb() - before,
    )


def fuzz_network(folder: Path, seeds: Iterable[int]) -> Counter[str]:
    """Send mutations by C-STORE; return the statuses, with ``aborted`` for an association that ended.

    After the last one a C-ECHO must be answered: ``echo`` counts that.
    """
    intake, port = Intake(folder), free_port()
    settings = ReceiverSettings(port=port, minimum_free_bytes=0, maximum_associations_per_address=20)
    receiver = Receiver(settings, intake.site.ingest, intake.site.store)
    receiver.start()
    try:
        statuses: Counter[str] = Counter()
        for seed in seeds:
            path = folder / "sent.dcm"
            path.write_bytes(mutated(seed)[1])
            statuses[_send(path, port)] += 1
        statuses["echo"] = _echo(port)
    finally:
        receiver.stop()
    return statuses


def _send(path: Path, port: int) -> str:
    association = _associate(port)
    try:
        status = association.send_c_store(path)
    except Exception as error:  # noqa: BLE001 - the sender cannot read its own file either
        return f"not sent ({type(error).__name__})"
    finally:
        if association.is_established:
            association.release()
    return f"0x{status.Status:04X}" if "Status" in status else "aborted"


def _echo(port: int) -> int:
    association = _associate(port)
    try:
        return int(association.send_c_echo().get("Status", -1) == 0)
    finally:
        association.release()


def _associate(port: int):
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = AE("FUZZER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 5
    contexts = [build_context(MR_IMAGE_STORAGE, ExplicitVRLittleEndian), build_context("1.2.840.10008.1.1")]
    handlers = [(evt.EVT_CONN_OPEN, on_connected, [threading.Event()])]
    return ae.associate("127.0.0.1", port, contexts=contexts, ae_title="METSERVE", evt_handlers=handlers)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

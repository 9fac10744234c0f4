"""One door for everything malformed: what becomes of a file, and of the study it belongs to."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from core.database import InstanceRow
from core.errors import UnsuitableStudy
from core.headers import MR_IMAGE_STORAGE
from core.settings import AssemblySettings
from core.study import Selection
from service.receiving.reception import ReceptionKind
from service.selection.assembly import Refusal, select_series
from service.selection.snapshots import load_study, waiting_snapshots
from service.selection.study_assembly import describe
from tests.service.reception_site import Site, open_site
from worker.stage_context import read_instance
from worker.volumes import load_volume


@dataclass
class Verdicts:
    """What became of many files.

    Parameters
    ----------
    kinds
        Stored, duplicate, conflict, or refused with its reason.
    crashes
        Seed or name -> error: whatever was raised. Nothing may be.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, str] = field(default_factory=dict)
    slowest_s: float = 0.0

    def count(self) -> int:
        return sum(self.kinds.values())


class Intake:
    """An ingest with its store and database, given files as a receiver gives them."""

    def __init__(self, folder: Path) -> None:
        self.site: Site = open_site(folder)
        self.verdicts = Verdicts()

    def offer(
        self, name: str, content: bytes, *, sop_instance_uid: str, syntax: str = ExplicitVRLittleEndian
    ) -> str:
        """Offer a file; return what became of it."""
        path = self.site.store.temporary_path()
        path.write_bytes(content)
        begun = time.perf_counter()
        try:
            reception = self.site.ingest.accept(
                path,
                sop_class_uid=MR_IMAGE_STORAGE,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=syntax,
                calling_ae_title="FUZZER",
                peer_address="127.0.0.1",
            )
        except Exception as error:  # noqa: BLE001 - a crash is what is looked for
            self.verdicts.crashes[name] = repr(error)
            return "crash"
        self.verdicts.slowest_s = max(self.verdicts.slowest_s, time.perf_counter() - begun)
        kind = reception.kind.value
        if reception.kind is ReceptionKind.REFUSED:
            kind += f": {reception.reason}"
        self.verdicts.kinds[kind] += 1
        return kind

    def assemble(self) -> Counter[str]:
        """Judge every study that was stored; a header that was taken must not stop assembly."""
        outcomes: Counter[str] = Counter()
        with self.site.read_sessions() as session:
            for snapshot in waiting_snapshots(session):
                try:
                    result = select_series(load_study(session, snapshot))
                    describe(result, AssemblySettings(), self.site.clock())
                except Exception as error:  # noqa: BLE001 - as above
                    self.verdicts.crashes[f"assembly of {snapshot.study_instance_uid}"] = repr(error)
                    continue
                outcomes[self._outcome(result)] += 1
        return outcomes

    def _outcome(self, result: Selection | Refusal) -> str:
        """Return the mode, or why assembly or the worker that loads the volumes refuses."""
        if isinstance(result, Refusal):
            return str(result.reason)
        with self.site.read_sessions() as session:
            paths = dict(session.execute(select(InstanceRow.sop_instance_uid, InstanceRow.path)).all())
        try:
            for series in result.selected:
                files = [self.site.store.resolve(paths[uid]) for uid in series.sop_instance_uids]
                load_volume([read_instance(path, with_pixels=True) for path in files])
        except UnsuitableStudy as error:
            return str(error.reason)
        return result.mode.value

    def leftovers(self) -> list[str]:
        """Return files that are neither kept nor in quarantine with their reason."""
        quarantine = self.site.store.root / "quarantine"
        without_reason = [
            path.name for path in quarantine.glob("*.dcm") if not path.with_suffix(".reason.txt").is_file()
        ]
        return [*without_reason, *(path.name for path in self.site.temporary_files())]

"""`make fuzz`: the catalogue of malformed content, and ten thousand mutations.

Writes docs/reliability/fuzz.json; ends with status 1 when something crashed, was lost without a reason,
or became of an item what nobody expects.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import structlog

from tests.fuzz.catalogue import FILES, STUDIES, FileItem, StudyItem
from tests.fuzz.fuzz import fuzz_ingest, fuzz_network
from tests.fuzz.intake import Intake
from tests.system.peers import REPOSITORY

RESULTS = REPOSITORY / "docs" / "reliability" / "fuzz.json"
PAST_THE_NETWORK, THROUGH_THE_NETWORK = 10_000, 500
SOP_INSTANCE_UID = "2.25.5001.1.1"


def outcome_of(item: FileItem | StudyItem, folder: Path) -> str:
    """Return what becomes of an item of the catalogue; anything that was raised is named."""
    folder.mkdir()
    intake = Intake(folder)
    if isinstance(item, FileItem):
        outcome = intake.offer(item.name, item.make(), sop_instance_uid=SOP_INSTANCE_UID, syntax=item.syntax)
        intake.assemble()
    else:
        intake.site.receive(*item.make())
        (outcome,) = intake.assemble()
    trouble = [*intake.verdicts.crashes.values(), *intake.leftovers()]
    return f"{outcome}; {trouble}" if trouble else outcome


def main() -> int:
    """Run both; return the exit status."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="metserve-fuzz-") as name:
        folder = Path(name)
        items = [
            {"item": item.name, "expected": item.expected, "got": outcome_of(item, folder / str(number))}
            for number, item in enumerate((*FILES, *STUDIES))
        ]
        for part in ("ingest", "network"):
            (folder / part).mkdir()
        report = fuzz_ingest(folder / "ingest", range(PAST_THE_NETWORK))
        last = PAST_THE_NETWORK + THROUGH_THE_NETWORK
        statuses = fuzz_network(folder / "network", range(PAST_THE_NETWORK, last))
    RESULTS.parent.mkdir(exist_ok=True)
    content = {"catalogue": items, "mutations": asdict(report), "by_c_store": dict(statuses)}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unexpected = [item for item in items if item["expected"] != item["got"]]
    print(f"{len(items)} items, unexpected: {unexpected}")
    print(report)
    print(dict(statuses))
    return 0 if report.is_clean and not unexpected and statuses["echo"] == 1 else 1


if __name__ == "__main__":
    sys.exit(main())

"""Write the tables of docs/reliability.md from what the last campaigns measured, or check them (--check)."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "reliability.md"
RESULTS = DOCS / "reliability"


def main() -> int:
    """Write or check; return the exit status."""
    before = PAGE.read_text(encoding="utf-8")
    text = before
    for name, table in (("chaos", _chaos), ("soak", _soak), ("fuzz", _fuzz)):
        if not (RESULTS / f"{name}.json").is_file():  # this campaign has not been run yet
            continue
        results = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        text = _replaced(text, name, table(results))
    if "--check" in sys.argv[1:]:
        if text == before:
            return 0
        print(f"{PAGE.name} is out of date: run scripts/reliability_tables.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def _replaced(text: str, name: str, lines: list[str]) -> str:
    start, end = f"<!-- {name}: made by scripts/reliability_tables.py -->\n", f"<!-- end of {name} -->\n"
    head, rest = text.split(start)
    return head + start + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end)[1]


def _chaos(results: dict[str, Any]) -> list[str]:
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in results["faults"]:
        row = rows[record["fault"]]
        row[record["installation"]] += record["injected"]
        for key in ("studies", "replayed", "lost", "duplicate", "open"):
            row[key] += record[key]
    totals = results["totals"]
    keys = ("embedded", "distributed", "studies", "replayed", "lost", "duplicate", "open")
    return [
        (
            "| Fault | Times, embedded | Times, distributed | Studies | Parked and replayed "
            "| Acknowledged instances lost | Result sets twice | Studies without outcome or delivery |"
        ),
        "|---|---|---|---|---|---|---|---|",
        *(f"| {fault} | " + " | ".join(str(row[key]) for key in keys) + " |" for fault, row in rows.items()),
        (
            f"| **{totals['injected']} faults** | | | {totals['studies']} | {totals['replayed']} "
            f"| {totals['lost']} | {totals['duplicate']} | {totals['open']} |"
        ),
    ]


def _soak(results: dict[str, Any]) -> list[str]:
    losses = sum(len(found) for found in results["losses"].values())
    return [
        (
            f"{results['studies']} studies, {results['instances']} instances, {results['seconds']} s; "
            f"{losses} lost, repeated or left over."
        ),
        "",
        "| Role | Memory gained per 1,000 studies (MB) | Open files gained | Threads gained | Peak (MB) |",
        "|---|---|---|---|---|",
        *(
            f"| {row['role']} | {row['rss_mb']:.1f} | {row['open_files']:.1f} | {row['threads']:.1f} |"
            f" {row['largest_rss_mb']:.0f} |"
            for row in results["growth_per_1000_studies"]
        ),
    ]


def _fuzz(results: dict[str, Any]) -> list[str]:
    mutations = results["mutations"]
    kinds = sorted(mutations["kinds"].items(), key=lambda item: -item[1])
    wrong = sum(item["expected"] != item["got"] for item in results["catalogue"])
    return [
        (
            f"{mutations['offered']:,} mutated instances, {len(mutations['crashes'])} crashes, "
            f"{len(mutations['leftovers'])} files without record or reason; the slowest took "
            f"{mutations['slowest_s']:.2f} s, memory grew by {mutations['memory_growth_mb']:.0f} MB."
        ),
        "",
        "| What became of it | Instances |",
        "|---|---|",
        *(f"| {kind} | {count} |" for kind, count in kinds),
        "",
        f"Sent by C-STORE, by status: {_listed(results['by_c_store'])}.",
        "",
        f"The catalogue has {len(results['catalogue'])} items; {wrong} became what was not expected.",
        "",
        "| Item | What becomes of it |",
        "|---|---|",
        *(f"| {item['item']} | {item['got']} |" for item in results["catalogue"]),
    ]


def _listed(statuses: dict[str, int]) -> str:
    sent = sorted((status, count) for status, count in statuses.items() if status != "echo")
    return ", ".join(f"{status} {count} times" for status, count in sent)


if __name__ == "__main__":
    sys.exit(main())

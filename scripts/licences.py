"""Write the tables of docs/licences.md from the lock files and the installed packages' metadata."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
TABLES_START = "## At run time\n"
ROLES = ("service", "worker-cpu", "worker-gpu")
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*\])?==", re.MULTILINE)

SHORT_NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "BSD License; Apache Software License": "BSD-3-Clause or Apache-2.0",
    "DFSG approved; MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

NOT_INSTALLED_HERE = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "onnxruntime": "MIT",
    "onnxruntime-gpu": "MIT",
    "tzdata": "Apache-2.0",
}
"""Packages for other platforms, read from their pages."""

NVIDIA = "NVIDIA proprietary"


def main() -> int:
    """Write the page; return 1 when a licence is not known."""
    pinned = {lock.stem: set(PINNED.findall(lock.read_text(encoding="utf-8"))) for lock in _locks()}
    run_time = sorted(set().union(*(pinned[role] for role in ROLES)))
    licences = {name: licence_of(name) for name in sorted(set().union(*pinned.values()))}
    introduction = PAGE.read_text(encoding="utf-8").split(TABLES_START)[0]
    tables = [
        TABLES_START,
        _table(("package", "licence", *ROLES), [_run_time_row(n, licences[n], pinned) for n in run_time]),
        "\n## Only for development, the demo and the tests\n",
        _table(("package", "licence"), [(n, licences[n]) for n in sorted(pinned["dev"] - set(run_time))]),
    ]
    PAGE.write_text(introduction + "\n".join(tables), encoding="utf-8")
    unknown = [name for name, licence in licences.items() if not licence]
    if unknown:
        print(f"no licence is known of {', '.join(unknown)}", file=sys.stderr)
    return 1 if unknown else 0


def licence_of(package: str) -> str:
    """Return the licence a package declares, '' when it declares none."""
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return NVIDIA if package.startswith("nvidia-") else NOT_INSTALLED_HERE.get(package, "")
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    found = (
        metadata.get("License-Expression")
        or "; ".join(classifier.split("::")[-1].strip() for classifier in classifiers)
        or (metadata.get("License") or "").partition("\n")[0]
    )
    return SHORT_NAMES.get(found, found)


def _locks() -> list[Path]:
    return sorted((ROOT / "requirements").glob("*.lock"))


def _run_time_row(name: str, licence: str, pinned: dict[str, set[str]]) -> tuple[str, ...]:
    return (name, licence, *("x" if name in pinned[role] else "" for role in ROLES))


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())

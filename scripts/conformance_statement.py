"""Write the tables of docs/dicom-conformance.md that the code itself holds, or check them (--check).

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->``; what is outside is written
by hand, and tests/docs/test_conformance_statement.py holds it against encoded studies.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from conformance_tables import BLOCKS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dicom-conformance.md"

BLOCK = re.compile(
    r"(?P<start><!-- generated: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(?P<end><!-- end: (?P=name) -->)",
    re.DOTALL,
)


def main() -> int:
    """Write or check; return the exit status."""
    found = PAGE.read_text(encoding="utf-8")
    text = filled(found)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if found == text:
        return 0
    print(f"{PAGE.name} is out of date: run `make fix`", file=sys.stderr)
    return 1


def filled(page: str) -> str:
    """Return a page with every generated block as the code says it now.

    Raises
    ------
    ValueError
        A block of ours is not in the page, or the page has one nobody fills.
    """
    names = [match["name"] for match in BLOCK.finditer(page)]
    if sorted(names) != sorted(BLOCKS):
        raise ValueError(f"the page has the blocks {sorted(names)}, expected {sorted(BLOCKS)}")
    return BLOCK.sub(lambda match: f"{match['start']}{BLOCKS[match['name']]()}{match['end']}", page)


if __name__ == "__main__":
    sys.exit(main())

"""A role that will be killed at a point: `python -m tests.chaos.doomed_role ROLE [INDEX CALL MARK SCOPE]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.chaos.fatal_points import POINTS, Death, arm


def main() -> None:
    """Arm the point, if one is given, and become the role."""
    role, *point = sys.argv[1:]
    if point:
        index, call, mark, scope = point
        arm(POINTS[int(index)], Death(int(call), Path(mark), with_parent=scope == "tree"))
    if role == "work":
        from tests.chaos.quick_worker import run

        run()
        return
    from cli.main import app

    sys.argv = ["metserve", role]
    app()


if __name__ == "__main__":
    main()

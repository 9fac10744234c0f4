"""Points between the first byte and the last confirmation at which a process is killed.

The deployed code knows nothing of this: a test wraps one of its functions, by name, in the process
that is to die.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FatalPoint:
    """Where a role dies.

    Parameters
    ----------
    name
        For people: what has happened when it dies.
    role
        Which role dies.
    target
        ``module:name`` or ``module:Class.name`` of the function that is wrapped.
    moment
        ``before`` the function runs, or ``after`` it.
    calls
        It dies at the call with this number; several make several faults.
    """

    name: str
    role: str
    target: str
    moment: str
    calls: tuple[int, ...] = (1, 2, 3)


RECEIVE_POINTS = (
    FatalPoint(
        "a data set's first fragment",
        "receive",
        "service.receiving.spool:SpooledDataSet._append",
        "after",
        (1, 2, 25),
    ),
    FatalPoint(
        "whole, not yet closed",
        "receive",
        "service.receiving.spool:SpooledDataSet.finish",
        "before",
        (1, 7, 40),
    ),
    FatalPoint("before the file is synced", "receive", "core.study_store:sync_file", "before", (1, 8, 39)),
    FatalPoint(
        "renamed, not yet recorded", "receive", "core.study_store:StudyStore.commit", "after", (1, 9, 40)
    ),
    FatalPoint(
        "recorded, not yet answered",
        "receive",
        "service.receiving.records:InstanceRecords.add",
        "after",
        (1, 10, 40),
    ),
    FatalPoint(
        "accepted, answer under way",
        "receive",
        "service.receiving.ingest:Ingest.accept",
        "after",
        (2, 20, 40),
    ),
    FatalPoint("assembled, no job yet", "receive", "service.jobs:Coordinator._create_job", "before", (1,)),
    FatalPoint("job recorded, no message yet", "receive", "service.jobs:ring", "before", (1,)),
    FatalPoint("message sent, not recorded", "receive", "service.jobs:ring", "after", (1,)),
)
WORK_POINTS = (
    FatalPoint("message taken, no claim yet", "work", "worker.tasks:Shell.run", "before", (1, 2, 3)),
    FatalPoint("stage claimed", "work", "worker.tasks:Shell._context", "before", (1, 2, 3)),
    FatalPoint("artefacts written, not recorded", "work", "worker.tasks:Shell._record", "before", (1, 2, 3)),
    FatalPoint(
        "recorded in a transaction that is lost", "work", "worker.tasks:Shell._record", "after", (1, 2, 3)
    ),
    FatalPoint(
        "stage recorded, next one not announced", "work", "worker.tasks:Shell._hand_on", "before", (1, 2, 3)
    ),
    FatalPoint(
        "next stage announced, message not acknowledged",
        "work",
        "worker.tasks:Shell._hand_on",
        "after",
        (1, 2, 3),
    ),
)
DELIVER_POINTS = (
    FatalPoint("delivery planned", "deliver", "service.delivery.outbox:plan_job", "after", (1,)),
    FatalPoint("delivery claimed", "deliver", "service.delivery.courier:Courier._load", "before", (1,)),
    FatalPoint("one object of two stored", "deliver", "service.delivery.push:_send", "after", (1,)),
    FatalPoint("all objects stored, not recorded", "deliver", "service.delivery.push:_send", "after", (2,)),
    FatalPoint(
        "before the delivery is recorded",
        "deliver",
        "service.delivery.outbox:record_delivered",
        "before",
        (1,),
    ),
    FatalPoint(
        "recorded in a transaction that is lost",
        "deliver",
        "service.delivery.outbox:record_delivered",
        "after",
        (1,),
    ),
)
POINTS = (*RECEIVE_POINTS, *WORK_POINTS, *DELIVER_POINTS)


@dataclass(frozen=True)
class Death:
    """How a process dies, once.

    Parameters
    ----------
    call
        At which call of the point's function.
    mark
        File that is made at the moment of death; while it exists nobody dies of this any more: a worker's
        next child has the same memory.
    with_parent
        Whether the parent is killed too: a worker with its children.
    """

    call: int
    mark: Path
    with_parent: bool = False

    def happen(self) -> None:
        """Kill this process, unless it happened before."""
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if self.with_parent:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def arm(point: FatalPoint, death: Death) -> None:
    """Wrap the point's function in this process."""
    module_name, _, path = point.target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    setattr(owner, name, _fatal(getattr(owner, name), point.moment, death))


def _fatal(function: Callable[..., Any], moment: str, death: Death) -> Callable[..., Any]:
    calls = 0

    def doomed(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if moment == "before" and calls == death.call:
            death.happen()
        result = function(*arguments, **options)
        if moment == "after" and calls == death.call:
            death.happen()
        return result

    return doomed

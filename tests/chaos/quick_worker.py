"""A worker whose stages take no time, `python -m tests.chaos.quick_worker`; all around them is real."""

from __future__ import annotations

import os
import socket
import tempfile
from functools import lru_cache

from celery.signals import worker_process_init

from core import schema
from core.broker import open_broker
from core.clock import utc_now
from core.database import open_engine, open_sessions
from core.headers import quiet_pydicom
from core.job import Stage
from core.logs import configure_logs
from core.settings import CommonSettings, WorkerSettings, load
from core.study_store import StudyStore
from core.tasks import queues_of
from tests.chaos.quick_stages import quick_stages
from worker.main import make_message_folder
from worker.pulse_step import install_pulse
from worker.tasks import Shell, register_tasks


def run() -> None:
    """Run until told to stop."""
    common, settings = load(CommonSettings), load(WorkerSettings)
    configure_logs(common, "work")
    quiet_pydicom()
    StudyStore(common.data_dir)
    tempfile.tempdir = str(make_message_folder(common.data_dir))
    engine = open_engine(common.resolved_database_url)
    schema.upgrade(engine)
    engine.dispose()
    app = open_broker(common, stage_time_limit_s=settings.stage_time_limit_s)

    @lru_cache(maxsize=1)
    def shell_of(process_id: int) -> Shell:
        return Shell(
            sessions=open_sessions(open_engine(common.resolved_database_url)),
            store=StudyStore(common.data_dir),
            broker=app,
            clock=utc_now,
            stages=quick_stages(),
            owner=f"{socket.gethostname()}:{process_id}",
            lease_s=settings.lease_s,
        )

    register_tasks(app, lambda: shell_of(os.getpid()))
    install_pulse(app, common.data_dir, every_s=0.5)

    @worker_process_init.connect(weak=False)
    def warm_up(**_signal: object) -> None:
        configure_logs(common, "work")
        quiet_pydicom()

    app.worker_main(
        [
            "worker",
            f"--concurrency={settings.concurrency}",
            f"--queues={','.join(queues_of(map(Stage, settings.queues)))}",
            f"--loglevel={common.log_level}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    run()

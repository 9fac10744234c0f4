"""Composition root of the worker: the only place here that builds things."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_init, worker_shutting_down

from core import schema
from core.broker import open_broker
from core.clock import utc_now
from core.database import open_engine, open_sessions
from core.headers import quiet_pydicom
from core.logs import configure_logs, logger
from core.settings import CommonSettings, WorkerSettings, bundled_models_dir
from core.study_store import StudyStore
from worker.loaded_models import LoadedModels, load_models
from worker.model_set import verify_model_set
from worker.stages import Stages
from worker.tasks import Shell, register_tasks

CHILD_START_LIMIT_S = 300.0
"""Time a worker child has to load and compile its networks; Celery's own default is 4 s."""


@dataclass(frozen=True)
class ModelFolders:
    """Where the released and the shadow model set lie."""

    released: Path
    shadow: Path | None


def model_folders(settings: WorkerSettings) -> ModelFolders:
    """Return the folders the settings name, the bundled set by default."""
    return ModelFolders(settings.models_dir or bundled_models_dir(), settings.shadow_models_dir)


def open_models(common: CommonSettings, settings: WorkerSettings) -> LoadedModels:
    """Load the networks, ready to run, in this process."""
    folders = model_folders(settings)
    return load_models(
        folders.released,
        profile=settings.profile,
        device=settings.device,
        threads=settings.threads or os.cpu_count() or 1,
        cache_dir=settings.cache_dir or common.data_dir / "cache",
        shadow_folder=folders.shadow,
    )


def open_worker(common: CommonSettings, settings: WorkerSettings) -> Celery:
    """Return the Celery app with the stages' tasks.

    Nothing heavy is loaded here: networks and database connections belong to the child that uses
    them, made after the fork (CUDA and thread pools do not survive one).
    """
    app = open_broker(common, stage_time_limit_s=settings.stage_time_limit_s)
    app.conf.worker_proc_alive_timeout = CHILD_START_LIMIT_S
    stopping = multiprocessing.Event()  # made before the fork: the children see it set
    shell = shell_of_this_process(app, common, settings, stopping.is_set)
    register_tasks(app, shell)

    @worker_shutting_down.connect(weak=False)
    def hand_back(**_signal: object) -> None:
        stopping.set()

    @worker_process_init.connect(weak=False)
    def warm_up(**_signal: object) -> None:
        configure_logs(common, "work")
        quiet_pydicom()
        shell()

    return app


def shell_of_this_process(
    app: Celery, common: CommonSettings, settings: WorkerSettings, is_stopping: Callable[[], bool]
) -> Callable[[], Shell]:
    """Return a function that makes this process' shell once and keeps it."""

    @lru_cache(maxsize=1)
    def shell_for(process_id: int) -> Shell:
        engine = open_engine(common.resolved_database_url)
        return Shell(
            sessions=open_sessions(engine),
            store=StudyStore(common.data_dir),
            broker=app,
            clock=utc_now,
            stages=Stages(open_models(common, settings), version("metserve")).by_stage(),
            owner=f"{socket.gethostname()}:{process_id}",
            lease_s=settings.lease_s,
            is_stopping=is_stopping,
        )

    return lambda: shell_for(os.getpid())


def make_message_folder(data_dir: Path) -> Path:
    """Return where the embedded broker keeps a message while it is read.

    kombu moves it to the system's temporary folder: on another file system that is no atomic move.
    """
    folder = data_dir.resolve() / "broker" / "taken"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def run_worker(common: CommonSettings, settings: WorkerSettings) -> None:
    """Run until SIGTERM, which gives a stage under way back to the queue.

    A missing or damaged model file ends the worker before it takes any work.
    """
    configure_logs(common, "work")
    quiet_pydicom()
    for folder in (model_folders(settings).released, model_folders(settings).shadow):
        if folder is not None:
            model_set = verify_model_set(folder)
            logger().info("model set verified", name=model_set.manifest.name, digest=model_set.digest)
    StudyStore(common.data_dir)
    tempfile.tempdir = str(make_message_folder(common.data_dir))
    engine = open_engine(common.resolved_database_url)
    schema.upgrade(engine)
    engine.dispose()  # no connection crosses the fork
    open_worker(common, settings).worker_main(
        [
            "worker",
            f"--concurrency={settings.concurrency}",
            f"--queues={','.join(settings.queues)}",
            f"--loglevel={common.log_level}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )

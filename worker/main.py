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
from pydicom.sr.coding import Code

from core import schema
from core.broker import open_broker
from core.clock import utc_now
from core.database import open_engine, open_sessions
from core.headers import quiet_pydicom
from core.job import Stage
from core.logs import configure_logs, logger
from core.settings import CommonSettings, WorkerSettings, bundled_models_dir
from core.study_store import StudyStore
from core.tasks import queues_of
from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.encoding.encode import SiteChoices
from worker.loaded_models import LoadedModels, load_models
from worker.model_set import verify_model_set
from worker.notices import NoticeOffice, register_notice_task
from worker.pulse_step import install_pulse
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
    process = this_process(app, common, settings, stopping.is_set)
    register_tasks(app, lambda: process().shell)
    register_notice_task(app, lambda: process().notices)
    install_pulse(app, common.data_dir)

    @worker_shutting_down.connect(weak=False)
    def hand_back(**_signal: object) -> None:
        stopping.set()

    @worker_process_init.connect(weak=False)
    def warm_up(**_signal: object) -> None:
        configure_logs(common, "work")
        quiet_pydicom()
        process()

    return app


@dataclass(frozen=True)
class WorkerProcess:
    """What one process of the worker keeps."""

    shell: Shell
    notices: NoticeOffice


def this_process(
    app: Celery, common: CommonSettings, settings: WorkerSettings, is_stopping: Callable[[], bool]
) -> Callable[[], WorkerProcess]:
    """Return a function that makes this process' parts once and keeps them."""

    @lru_cache(maxsize=1)
    def parts_for(process_id: int) -> WorkerProcess:
        return open_process(app, common, settings, is_stopping, f"{socket.gethostname()}:{process_id}")

    return lambda: parts_for(os.getpid())


def open_process(
    app: Celery, common: CommonSettings, settings: WorkerSettings, is_stopping: Callable[[], bool], owner: str
) -> WorkerProcess:
    """Connect to the database, load the networks, and build what works with them."""
    sessions = open_sessions(open_engine(common.resolved_database_url))
    store = StudyStore(common.data_dir)
    models = open_models(common, settings)
    shell = Shell(
        sessions=sessions,
        store=store,
        broker=app,
        clock=utc_now,
        stages=Stages(models, version("metserve"), site_choices(settings)).by_stage(),
        owner=owner,
        lease_s=settings.lease_s,
        is_stopping=is_stopping,
    )
    notices = NoticeOffice(
        sessions=sessions,
        store=store,
        clock=utc_now,
        model=models.ensemble.identity,
        software_version=version("metserve"),
        codes=site_codes(settings),
        lease_s=settings.lease_s,
    )
    return WorkerProcess(shell, notices)


def site_codes(settings: WorkerSettings) -> SiteCodes:
    """Return the codes a site set, and the default for those it did not."""
    default = DEFAULT_SITE_CODES
    return SiteCodes(
        procedure_reported=_code(settings.procedure_code, default.procedure_reported),
        equipment_purpose=_code(settings.equipment_purpose_code, default.equipment_purpose),
    )


def site_choices(settings: WorkerSettings) -> SiteChoices:
    """Return what a site chose about its results."""
    return SiteChoices(
        codes=site_codes(settings),
        structure_style=settings.structure_style,
        probability_map=settings.probability_map,
        rejection_note=settings.rejection_note,
    )


def _code(triple: str, default: Code) -> Code:
    """Return the code of a ``value|scheme|meaning`` that the settings checked."""
    if not triple:
        return default
    value, scheme, meaning = triple.split("|")
    return Code(value, scheme, meaning)


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
            f"--queues={','.join(queues_of(map(Stage, settings.queues)))}",
            f"--loglevel={common.log_level}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )

"""The Celery app: a doorbell. What must be done stands in the database."""

from __future__ import annotations

from pathlib import Path

from celery import Celery

from core.job import Lane, Stage
from core.settings import CommonSettings
from core.tasks import NOTICE_QUEUE, NOTICE_TASK, QUEUES, TASK_NAMES, queue_of

VISIBILITY_TIMEOUT_S = 7200
"""Longer than any stage: Redis must not hand a running task to a second worker. Its loss is noticed
by the job's lease, not by this."""

POLL_MESSAGES_S = 0.1
"""How often a worker looks for message files. It takes one message a look, so this bounds how fast it gets
through messages that turn out to need nothing."""


def open_broker(settings: CommonSettings, *, stage_time_limit_s: int = 1800) -> Celery:
    """Return the Celery app for a broker URL, or for message files when there is none.

    Parameters
    ----------
    settings
        Where the broker is.
    stage_time_limit_s
        A task that runs longer is ended.
    """
    app = Celery("metserve", set_as_current=False)
    app.conf.update(
        broker_url=settings.broker_url or "filesystem://localhost",  # kombu warns without a host
        broker_transport_options=_transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=stage_time_limit_s,
        task_create_missing_queues=True,
        task_routes={
            **{TASK_NAMES[stage]: {"queue": QUEUES[stage]} for stage in Stage},
            NOTICE_TASK: {"queue": NOTICE_QUEUE},
        },
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        timezone="UTC",
    )
    return app


def ring(app: Celery, stage: Stage, job_id: str, lane: Lane = Lane.ROUTINE) -> None:
    """Tell the workers that a job waits for a stage; the argument is the job's id and nothing else."""
    queue = queue_of(stage, lane)
    app.send_task(TASK_NAMES[stage], args=[job_id], queue=queue, argsrepr="(job)", retry=False)


def ring_for_notice(app: Celery, job_id: str) -> None:
    """Tell the workers that a job's notice is to be made."""
    app.send_task(NOTICE_TASK, args=[job_id], queue=NOTICE_QUEUE, argsrepr="(job)", retry=False)


def _transport_options(settings: CommonSettings) -> dict[str, object]:
    folder = settings.embedded_broker_dir
    if folder is not None:
        return _message_folders(folder)
    if settings.broker_url.startswith(("redis", "unix")):
        return {
            "queue_order_strategy": "priority",  # in the order a worker names them: urgent first
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 10,
            "socket_keepalive": True,
            "health_check_interval": 25,
        }
    return {}


def _message_folders(folder: Path) -> dict[str, object]:
    messages, control = folder / "messages", folder / "control"
    for path in (messages, control):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "store_processed": False,
        "polling_interval": POLL_MESSAGES_S,
    }

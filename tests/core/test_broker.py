import json
from pathlib import Path

import pytest

from core.broker import VISIBILITY_TIMEOUT_S, open_broker, ring, ring_for_notice
from core.job import Lane, Stage
from core.settings import CommonSettings, WorkerSettings, load
from core.tasks import queues_of


@pytest.fixture(autouse=True)
def _away_from_any_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_broker_url_messages_are_files_in_the_data_folder(tmp_path: Path) -> None:
    ring(open_broker(CommonSettings(data_dir=tmp_path)), Stage.INFER, "job-1")
    (message,) = (tmp_path / "broker" / "messages").iterdir()
    assert "infer" in message.name


def test_message_files_need_no_warning_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring(open_broker(CommonSettings(data_dir=tmp_path)), Stage.INFER, "job-1")
    assert caplog.records == []


def test_a_message_carries_the_job_id_and_nothing_else(tmp_path: Path) -> None:
    ring(open_broker(CommonSettings(data_dir=tmp_path)), Stage.PREPARE, "job-1")
    (message,) = (tmp_path / "broker" / "messages").iterdir()
    envelope = json.loads(message.read_text())
    assert envelope["headers"]["task"] == "metserve.prepare"
    assert envelope["headers"]["argsrepr"] == "(job)"
    assert envelope["content-type"] == "application/json"


def test_a_task_lost_with_its_worker_is_given_back(tmp_path: Path) -> None:
    conf = open_broker(CommonSettings(data_dir=tmp_path)).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.accept_content == ["json"]


def test_redis_does_not_hand_out_a_task_that_still_runs(tmp_path: Path) -> None:
    settings = CommonSettings(data_dir=tmp_path, broker_url="redis://localhost:6379/0")
    options = open_broker(settings).conf.broker_transport_options
    assert options["visibility_timeout"] == VISIBILITY_TIMEOUT_S > load(WorkerSettings).stage_time_limit_s


def test_a_notice_is_asked_for_where_results_are_encoded(tmp_path: Path) -> None:
    ring_for_notice(open_broker(CommonSettings(data_dir=tmp_path)), "job-1")
    (message,) = (tmp_path / "broker" / "messages").iterdir()
    assert message.name.split(".")[-2].endswith("encode")
    assert json.loads(message.read_text())["headers"]["task"] == "metserve.notice"


def test_a_worker_looks_at_the_urgent_queues_of_its_stages_first() -> None:
    assert queues_of([Stage.PREPARE, Stage.INFER]) == ["prepare.urgent", "infer.urgent", "prepare", "infer"]


def test_an_urgent_job_waits_in_a_queue_of_its_own(tmp_path: Path) -> None:
    ring(open_broker(CommonSettings(data_dir=tmp_path)), Stage.INFER, "job-1", Lane.URGENT)
    (message,) = (tmp_path / "broker" / "messages").iterdir()
    assert message.name.endswith("infer.urgent.msg")

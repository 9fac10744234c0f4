"""What must hold whatever is killed: nothing acknowledged is lost, nothing is delivered twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from core.study import SeriesRole
from tests.system.hospital import Hospital, distributed_hospital, embedded_hospital
from tests.system.metserve import children_of, kill_tree
from tests.system.peers import Postgres, Redis, storescu, storescu_command, wait_until
from tests.system.studies import WrittenStudy, sop_instance_uid

pytestmark = pytest.mark.system

START_LIMIT_S = 60.0
DELIVERY_LIMIT_S = 120.0

HAND_BACK_LIMIT_S = 10.0
"""A window or two. Only a hand-back leads to this state: a lease that ends is taken over where it is."""

KILLED_AFTER = 20
"""Acknowledged images of a series of 72: the association is in full swing."""

BOTH = (SeriesRole.T1, SeriesRole.T1_POST)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with embedded_hospital(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Redis:
    return Redis(tmp_path_factory.mktemp("redis") / "redis")


@pytest.fixture(scope="module")
def distributed(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, redis: Redis
) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("faults-distributed")
    with distributed_hospital(folder, postgres, redis, "faults") as running:
        yield running


def test_a_worker_child_killed_while_it_infers_costs_nothing_but_time(
    hospital: Hospital, study: WrittenStudy
) -> None:
    send_and_wait_until_inferring(hospital, study)
    (child,) = children_of(hospital.metserve.role_process("work"))
    os.kill(child, signal.SIGKILL)
    assert hospital.metserve.states(study.study_instance_uid) == ["inferring"]
    assert_delivered_once(hospital, study)


def test_a_worker_killed_with_its_children_is_started_again_and_finishes(
    hospital: Hospital, study: WrittenStudy
) -> None:
    send_and_wait_until_inferring(hospital, study)
    kill_tree(hospital.metserve.role_process("work"))
    assert hospital.metserve.states(study.study_instance_uid) == ["inferring"]
    assert_delivered_once(hospital, study)


def test_a_worker_told_to_stop_gives_its_stage_back_at_no_cost(
    hospital: Hospital, study: WrittenStudy
) -> None:
    send_and_wait_until_inferring(hospital, study)
    os.kill(hospital.metserve.role_process("work"), signal.SIGTERM)
    hospital.metserve.wait_for(study.study_instance_uid, "prepared", limit_s=HAND_BACK_LIMIT_S)
    assert hospital.metserve.job(study.study_instance_uid)["stage_attempts"] == 0
    assert_delivered_once(hospital, study)


def test_what_a_killed_receiver_acknowledged_is_kept_and_the_rest_can_be_sent_again(
    hospital: Hospital, study: WrittenStudy
) -> None:
    acknowledged = send_until_the_receiver_is_killed(hospital, study)
    assert KILLED_AFTER <= len(acknowledged) < len(study.uids(*BOTH))
    hospital.metserve.wait_for_receiver()
    assert_kept(hospital, study, acknowledged)

    send(hospital, study)
    assert_delivered_once(hospital, study)


@pytest.mark.parametrize("log_survives", [True, False], ids=["with its log", "empty"])
def test_redis_killed_in_mid_analysis_loses_no_job(
    distributed: Hospital, redis: Redis, study: WrittenStudy, log_survives: bool
) -> None:
    send_and_wait_until_inferring(distributed, study)
    redis.kill()
    distributed.metserve.wait_for(study.study_instance_uid, "inferred")
    if not log_survives:
        redis.forget_everything()
    redis.start()
    assert_delivered_once(distributed, study)


def test_redis_empty_before_the_analysis_began_loses_no_job(
    distributed: Hospital, redis: Redis, study: WrittenStudy
) -> None:
    redis.kill()
    send(distributed, study)
    distributed.metserve.wait_for(study.study_instance_uid, "queued")
    redis.forget_everything()
    redis.start()
    assert_delivered_once(distributed, study)


def test_a_pacs_that_is_down_gets_the_results_once_it_is_up(hospital: Hospital, study: WrittenStudy) -> None:
    hospital.pacs.stop()
    send(hospital, study)
    hospital.metserve.wait_for(study.study_instance_uid, "encoded")
    wait_until(lambda: attempts(hospital, study) >= 1, DELIVERY_LIMIT_S, "a delivery was tried")
    assert hospital.metserve.states(study.study_instance_uid) == ["encoded"]

    hospital.pacs.start()
    assert_delivered_once(hospital, study)
    assert attempts(hospital, study) >= 2


def send(hospital: Hospital, study: WrittenStudy) -> None:
    """Send to metserve as the PACS does, and as it does again after an error."""
    storescu([study.folder], hospital.metserve.dicom_port, called=hospital.metserve.AE_TITLE)


def send_and_wait_until_inferring(hospital: Hospital, study: WrittenStudy) -> None:
    send(hospital, study)
    hospital.metserve.wait_for(study.study_instance_uid, "inferring")


def send_until_the_receiver_is_killed(hospital: Hospital, study: WrittenStudy) -> set[str]:
    """Send T1, then T1-post; kill the receiver in between; return what storescu saw acknowledged."""
    metserve = hospital.metserve
    files = [str(path) for role in BOTH for path in study.series(role)]
    command = storescu_command(metserve.dicom_port, called=metserve.AE_TITLE)
    acknowledged: set[str] = set()
    sending = Path()
    with subprocess.Popen([*command, "-v", *files], stderr=subprocess.PIPE, text=True) as sender:
        assert sender.stderr is not None
        for line in sender.stderr:
            if "Sending file: " in line:
                sending = Path(line.split("Sending file: ")[1].strip())
            elif "Received Store Response (Success)" in line:
                acknowledged.add(sop_instance_uid(sending))
                if len(acknowledged) == KILLED_AFTER:
                    os.kill(metserve.role_process("receive"), signal.SIGKILL)
    assert sender.returncode != 0, "storescu tells that not everything was stored"
    return acknowledged


def attempts(hospital: Hospital, study: WrittenStudy) -> int:
    return sum(d["attempts"] for d in hospital.metserve.job(study.study_instance_uid)["deliveries"])


def assert_delivered_once(hospital: Hospital, study: WrittenStudy) -> None:
    """One job, delivered; one SEG and one SR in the PACS; every image kept."""
    hospital.metserve.wait_for(study.study_instance_uid, "delivered")
    assert hospital.metserve.job(study.study_instance_uid)["outcome"] == "positive"
    assert hospital.pacs.result_counts(study.study_instance_uid) == (1, 1)
    assert_kept(hospital, study, study.uids(*BOTH))


def assert_kept(hospital: Hospital, study: WrittenStudy, acknowledged: set[str]) -> None:
    """Every acknowledged image is in the database, and on disk as it was sent."""
    stored = hospital.metserve.stored_instances(study.study_instance_uid)
    assert acknowledged <= stored.keys()
    for path in (path for role in BOTH for path in study.series(role)):
        uid = sop_instance_uid(path)
        if uid in acknowledged:
            assert dcmread(stored[uid]).PixelData == dcmread(path).PixelData

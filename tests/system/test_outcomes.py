"""Studies that are late, incomplete or something else: each gets an explicit outcome, never a mixture."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage

from core.study import QualityFlag, SeriesRole
from core.uids import derive_uid
from tests.system.hospital import Hospital, embedded_hospital
from tests.system.metserve import children_of
from tests.system.peers import storescu
from tests.system.studies import WrittenStudy, sop_instance_uid
from worker.encoding.report.readback import read_evidence_uids

pytestmark = pytest.mark.system

INCOMPLETE_QUIET_PERIOD_S = 6
"""Shorter than in a hospital, longer than the quiet period of complete studies."""

EARLY_SLICES = 60
"""Of 72: enough to be taken for a whole head."""


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("outcomes")
    with embedded_hospital(folder, assembly_incomplete_quiet_period_s=INCOMPLETE_QUIET_PERIOD_S) as running:
        yield running


def test_slices_that_come_during_the_analysis_start_it_anew_with_all_of_them(
    hospital: Hospital, study: WrittenStudy
) -> None:
    metserve, uid, post = hospital.metserve, study.study_instance_uid, study.series(SeriesRole.T1_POST)
    storescu(
        [*study.series(SeriesRole.T1), *post[:EARLY_SLICES]], metserve.dicom_port, called=metserve.AE_TITLE
    )
    metserve.wait_for(uid, "inferring")
    (child,) = children_of(metserve.role_process("work"))
    os.kill(child, signal.SIGSTOP)  # it comes back when the study has moved on
    storescu(post[EARLY_SLICES:], metserve.dicom_port, called=metserve.AE_TITLE)
    metserve.wait_for(uid, "queued", "superseded")
    os.kill(child, signal.SIGCONT)

    metserve.wait_for(uid, "delivered", "superseded")
    assert hospital.pacs.result_counts(uid) == (1, 1)
    (report,) = reports(hospital, study)
    assert source_uids(report, hospital, study) == study.uids(SeriesRole.T1, SeriesRole.T1_POST)


def test_a_study_of_t1_post_alone_is_analysed_and_flagged_and_a_later_t1_makes_a_new_revision(
    hospital: Hospital, study: WrittenStudy
) -> None:
    metserve, uid = hospital.metserve, study.study_instance_uid
    storescu(study.series(SeriesRole.T1_POST), metserve.dicom_port, called=metserve.AE_TITLE)
    metserve.wait_for(uid, "delivered")
    flagged = metserve.job(uid)
    assert (flagged["mode"], flagged["outcome"]) == ("t1_post_only", "positive")
    assert QualityFlag.T1_POST_ONLY in flagged["flags"]

    storescu(study.series(SeriesRole.T1), metserve.dicom_port, called=metserve.AE_TITLE)
    metserve.wait_for(uid, "delivered", "delivered")
    full = metserve.job(uid)
    assert (full["mode"], full["revision"]) == ("full", 2)
    assert QualityFlag.T1_POST_ONLY not in full["flags"]
    assert hospital.pacs.result_counts(uid) == (2, 2)
    sources = [source_uids(report, hospital, study) for report in reports(hospital, study)]
    assert sorted(sources, key=len) == [
        study.uids(SeriesRole.T1_POST),
        study.uids(SeriesRole.T1, SeriesRole.T1_POST),
    ]


def test_a_study_without_t1_post_is_unsuitable_and_says_why(hospital: Hospital, study: WrittenStudy) -> None:
    metserve = hospital.metserve
    storescu(study.series(SeriesRole.T1), metserve.dicom_port, called=metserve.AE_TITLE)
    metserve.wait_for(study.study_instance_uid, "unsuitable")
    job = metserve.job(study.study_instance_uid)
    assert (job["outcome"], job["reason"]) == ("unsuitable", "no_post_contrast")
    assert "no T1 post-contrast among 1 MR series" in job["message"]
    assert hospital.pacs.result_counts(study.study_instance_uid) == (0, 0)


def test_a_ct_image_is_kept_and_never_analysed_and_its_sender_succeeds(
    hospital: Hospital, study: WrittenStudy
) -> None:
    metserve, uid = hospital.metserve, study.study_instance_uid
    path = study.series(SeriesRole.T1)[0]
    become_ct(dcmread(path)).save_as(path)
    storescu([path], metserve.dicom_port, called=metserve.AE_TITLE)  # fails unless the status is Success
    metserve.wait_for(uid, "unsuitable")
    assert metserve.job(uid)["reason"] == "no_mr_series"
    stored = metserve.stored_instances(uid)
    assert dcmread(stored[sop_instance_uid(path)]).SOPClassUID == CTImageStorage


def become_ct(image: Dataset) -> Dataset:
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = derive_uid(image.SOPInstanceUID, "CT")
    image.Modality = "CT"
    return image


def reports(hospital: Hospital, study: WrittenStudy) -> list[Dataset]:
    return [dcmread(io.BytesIO(file)) for file in hospital.pacs.files(study.study_instance_uid, "SR")]


def source_uids(report: Dataset, hospital: Hospital, study: WrittenStudy) -> set[str]:
    """Return the images a report names as evidence; its segmentation is not one of them."""
    files = hospital.pacs.files(study.study_instance_uid, "SEG")
    return read_evidence_uids(report) - {str(dcmread(io.BytesIO(file)).SOPInstanceUID) for file in files}

"""The whole way: a scanner sends to the PACS, the PACS routes, and the results join the study."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from core.study import SeriesRole
from phantom.scoring import match
from phantom.study import PhantomStudy
from tests.judges import (
    masks_read_by_dcmqi,
    measurements_read_by_dcmqi,
    validation_errors,
    values_of,
    voxels_lps_mm,
)
from tests.system.hospital import Hospital, distributed_hospital, embedded_hospital
from tests.system.peers import Postgres, Redis, storescu, wait_until
from tests.system.studies import WrittenStudy, write_copy

pytestmark = pytest.mark.system

ROUTING_LIMIT_S = 60.0

QUIET_S = 6.0
"""Longer than the quiet period and the poll interval together: an unwanted job would be there."""

VOLUME_CODE, NUMBER_OF_LESIONS_CODE = "118565006", "246206008"
"""SNOMED CT."""

SR_DECIMALS_MM3 = 6e-4
"""Numbers in the report are rounded to a thousandth."""


MODALITIES = {"seg": "SEG", "sr": "SR", "rtstruct": "RTSTRUCT", "overview": "OT", "pdf": "DOC"}
"""Kind of result, and how the PACS files it."""


@dataclass(frozen=True)
class RoundTrip:
    """A study that went all the way, and its results as the PACS holds them."""

    hospital: Hospital
    study: WrittenStudy
    results: Mapping[str, Path]
    folder: Path

    def job(self) -> dict[str, Any]:
        return self.hospital.metserve.job(self.study.study_instance_uid)

    def lesions(self) -> list[dict[str, Any]]:
        answer = self.hospital.metserve.http.get(f"/studies/{self.study.study_instance_uid}/lesions")
        return list(answer.raise_for_status().json()["lesions"])


@pytest.fixture(scope="module", params=["embedded", "redis+postgres"])
def trip(
    request: pytest.FixtureRequest, phantom: PhantomStudy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoundTrip]:
    folder = tmp_path_factory.mktemp("round-trip")
    study = write_copy(phantom, folder / "study", f"round trip {request.param}")
    with _hospital(request, folder) as hospital:
        storescu([study.folder], hospital.pacs.dicom_port, called=hospital.pacs.AE_TITLE)
        hospital.metserve.wait_for(study.study_instance_uid, "delivered")
        results = {kind: _fetch(hospital, study, modality, folder) for kind, modality in MODALITIES.items()}
        yield RoundTrip(hospital, study, results, folder)


def _hospital(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Hospital]:
    if request.param == "embedded":
        return embedded_hospital(folder)
    postgres: Postgres = request.getfixturevalue("postgres")
    return distributed_hospital(folder, postgres, Redis(folder / "redis"), "round_trip")


def _fetch(hospital: Hospital, study: WrittenStudy, modality: str, folder: Path) -> Path:
    (content,) = hospital.pacs.files(study.study_instance_uid, modality)
    path = folder / f"{modality}.dcm"
    path.write_bytes(content)
    return path


def test_one_job_puts_one_object_a_kind_into_the_study(trip: RoundTrip) -> None:
    instances = trip.hospital.pacs.instances(trip.study.study_instance_uid)
    counts = {modality: len(ids) for modality, ids in instances.items()}
    images = len(trip.study.uids(SeriesRole.T1, SeriesRole.T1_POST))
    assert counts == {"MR": images} | dict.fromkeys(MODALITIES.values(), 1)
    assert trip.job()["revision"] == 1
    assert trip.job()["outcome"] == "positive"
    assert [delivery["state"] for delivery in trip.job()["deliveries"]] == ["delivered"]


@pytest.mark.parametrize("kind", MODALITIES)
def test_the_validator_finds_no_error_in_what_the_pacs_holds(trip: RoundTrip, kind: str) -> None:
    assert validation_errors(trip.results[kind]) == []


@pytest.mark.parametrize("kind", MODALITIES)
def test_the_pacs_holds_what_rest_serves(trip: RoundTrip, kind: str) -> None:
    url = f"/jobs/{trip.job()['job_id']}/objects/{kind}"
    served: Dataset = dcmread(io.BytesIO(trip.hospital.metserve.http.get(url).raise_for_status().content))
    assert dcmread(trip.results[kind]) == served


def test_dcmqi_reads_the_lesions_that_rest_lists(trip: RoundTrip) -> None:
    voxels = _voxels_by_label(trip)
    voxel_volume_mm3 = trip.study.phantom.t1_post.grid.voxel_volume_mm3
    assert voxels.keys() == {lesion["tracking_id"] for lesion in trip.lesions()}
    for lesion in trip.lesions():
        found = voxels[lesion["tracking_id"]]
        assert len(found) * voxel_volume_mm3 == pytest.approx(lesion["volume_mm3"], rel=1e-3)
        assert found.mean(axis=0) == pytest.approx(lesion["centroid_lps_mm"], abs=0.01)


def test_the_large_lesions_are_found_where_they_were_laid(trip: RoundTrip) -> None:
    truth, grid = trip.study.phantom.truth, trip.study.phantom.t1_post.grid
    found = np.zeros(grid.shape_kji, dtype=np.uint16)
    for number, voxels in enumerate(_voxels_by_label(trip).values(), start=1):
        found[tuple(np.rint(grid.to_index_kji(voxels)).astype(int).T)] = number
    score = match(truth, found, grid.voxel_volume_mm3)
    assert [lesion.truth.number for lesion in score.lesions if lesion.is_large and not lesion.detected] == []


def test_the_report_states_the_numbers_of_rest(trip: RoundTrip) -> None:
    summary, *groups = measurements_read_by_dcmqi(trip.results["sr"], trip.folder)
    lesions = trip.lesions()
    assert values_of(summary)[NUMBER_OF_LESIONS_CODE] == (len(lesions), "{lesions}")
    by_uid = {g["TrackingUniqueIdentifier"]: values_of(g) for g in groups if g.get("measurementItems")}
    stated = {uid: values[VOLUME_CODE] for uid, values in by_uid.items()}
    expected = {
        lesion["tracking_uid"]: (pytest.approx(lesion["volume_mm3"], abs=SR_DECIMALS_MM3), "mm3")
        for lesion in lesions
    }
    assert stated == expected


def test_the_lesion_table_holds_the_numbers_of_the_json(trip: RoundTrip) -> None:
    answer = trip.hospital.metserve.http.get(f"/jobs/{trip.job()['job_id']}/lesions.csv").raise_for_status()
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    lesions = trip.lesions()
    assert len(rows) == len(lesions)
    for row, lesion in zip(rows, lesions, strict=True):
        assert row["tracking_uid"] == lesion["tracking_uid"]
        assert float(row["volume_mm3"]) == lesion["volume_mm3"]
        assert float(row["longest_diameter_mm"]) == lesion["longest_diameter_mm"]


def test_every_series_has_its_role_and_the_reasons(trip: RoundTrip) -> None:
    series = trip.hospital.metserve.study(trip.study.study_instance_uid)["series"]
    assert {s["series_description"]: s["role"] for s in series} == {
        "AX T1 3D": "t1",
        "AX T1 3D POST": "t1_post",
    }
    assert all(s["reasons"] for s in series)


def test_neither_the_results_nor_a_second_sending_make_a_second_job(trip: RoundTrip) -> None:
    hospital, uid = trip.hospital, trip.study.study_instance_uid
    storescu([trip.study.folder], hospital.pacs.dicom_port, called=hospital.pacs.AE_TITLE)
    storescu([trip.study.folder], hospital.metserve.dicom_port, called=hospital.metserve.AE_TITLE)
    wait_until(hospital.pacs.has_routed_everything, ROUTING_LIMIT_S, "the PACS has nothing left to route")
    time.sleep(QUIET_S)
    assert hospital.metserve.states(uid) == ["delivered"]
    assert hospital.metserve.stored_instances(uid).keys() == trip.study.uids(
        SeriesRole.T1, SeriesRole.T1_POST
    )
    assert hospital.pacs.result_counts(uid) == (1, 1)


def _voxels_by_label(trip: RoundTrip) -> dict[str, NDArray[np.float64]]:
    masks = masks_read_by_dcmqi(trip.results["seg"], trip.folder)
    return {label: voxels_lps_mm(mask) for label, mask in masks.items()}

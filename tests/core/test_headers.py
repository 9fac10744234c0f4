import subprocess
import sys

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from core.headers import group_into_studies, read_instance_header


def classic() -> Dataset:
    ds = Dataset()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.1", "1.2", "1.3"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.Modality = "MR"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.ImagePositionPatient = [-10, -20, 30.5]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [0.7, 0.8]
    ds.RepetitionTime, ds.EchoTime = 8.8, 3.3
    ds.ContrastBolusAgent = "Gadobutrol"
    ds.ScanningSequence = ["GR", "IR"]
    return ds


def enhanced() -> Dataset:
    ds = Dataset()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.1", "1.2", "1.4"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    ds.NumberOfFrames = 2
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 1.5
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    frames = []
    for z in (0, 1.5):
        frame, plane = Dataset(), Dataset()
        plane.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = Sequence([plane])
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return ds


def test_a_classic_header_is_read() -> None:
    header = read_instance_header(classic())
    assert header.frame_positions_lps_mm == ((-10, -20, 30.5),)
    assert header.pixel_spacing_mm == (0.7, 0.8)
    assert (header.repetition_time_ms, header.echo_time_ms, header.inversion_time_ms) == (8.8, 3.3, None)
    assert (header.contrast_bolus_agent, header.scanning_sequence) == ("Gadobutrol", ("GR", "IR"))


def test_an_enhanced_header_has_a_position_a_frame() -> None:
    header = read_instance_header(enhanced())
    assert header.frame_positions_lps_mm == ((0, 0, 0), (0, 0, 1.5))
    assert (header.pixel_spacing_mm, header.slice_thickness_mm) == ((1.0, 1.0), 1.5)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("ImagePositionPatient", [1, 2]), ("PixelSpacing", [1]), ("ImageOrientationPatient", [1])],
)
def test_geometry_with_the_wrong_number_of_values_counts_as_absent(keyword: str, value: list[int]) -> None:
    ds = classic()
    setattr(ds, keyword, value)
    header = read_instance_header(ds)
    assert (
        not header.frame_positions_lps_mm
        or header.pixel_spacing_mm is None
        or header.image_orientation is None
    )


def test_an_empty_dataset_gives_an_empty_header() -> None:
    header = read_instance_header(Dataset())
    assert (header.sop_instance_uid, header.rows, header.frame_positions_lps_mm) == ("", 0, ())


def test_headers_are_grouped_by_study_and_series() -> None:
    other = classic()
    other.SeriesInstanceUID, other.SOPInstanceUID = "1.9", "1.10"
    (study,) = group_into_studies([read_instance_header(ds) for ds in (classic(), other, enhanced())])
    assert [len(series.instances) for series in study.series] == [2, 1]


@pytest.mark.parametrize("number", [-(2**31), 2**31 - 1])
def test_the_outermost_integers_of_the_standard_are_read(number: int) -> None:
    ds = classic()
    ds.SeriesNumber = number
    assert read_instance_header(ds).series_number == number


@pytest.mark.parametrize("number", [-(2**31) - 1, 2**31, 2**70])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_an_integer_beyond_the_standard_counts_as_absent(number: int) -> None:
    ds = classic()
    ds.SeriesNumber = number
    assert read_instance_header(ds).series_number is None


ODD_HEADER = """
from pydicom import Dataset
from core.headers import quiet_pydicom
from core.logs import configure

quiet_pydicom()
configure("INFO", "json", "test")
ds = Dataset()
ds.StudyInstanceUID = "CANARY"
ds.SpecificCharacterSet, ds.PatientName = "CANARY", b"CANARY"
ds.decode()
"""


def test_a_quiet_pydicom_shows_no_value_of_a_header() -> None:
    done = subprocess.run([sys.executable, "-c", ODD_HEADER], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"AcquisitionDate": "20261123", "AcquisitionTime": "101500.5"}, ("20261123", "101500.5")),
        ({"AcquisitionDateTime": "20261123101500.5+0100"}, ("20261123", "101500.5")),
        ({"AcquisitionDateTime": "20261123101500-0500"}, ("20261123", "101500")),
        ({"AcquisitionDateTime": "20261123101500", "AcquisitionTime": "101501"}, ("20261123", "101501")),
        ({"AcquisitionTime": "101500"}, ("", "101500")),
    ],
)
def test_date_and_time_of_acquisition_are_read_from_either_element(
    elements: dict[str, str], expected: tuple[str, str]
) -> None:
    ds = classic()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    header = read_instance_header(ds)
    assert (header.acquisition_date, header.acquisition_time) == expected

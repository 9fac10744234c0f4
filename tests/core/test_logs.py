import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from core.logs import configure, logger, pseudonym

PATIENT_NAME = "PLANTED^NAME"
"""Never on a line that a traceback may quote."""


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_json_logs_are_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json", "test")
    logger().info("stage finished", job_id="a")
    entry = json.loads(capfd.readouterr().err)
    assert (entry["event"], entry["job_id"], entry["role"], entry["level"]) == (
        "stage finished",
        "a",
        "test",
        "info",
    )


def test_patient_data_and_uids_never_reach_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json", "test")
    logger().info("received", patient_name="PLANTED^NAME", study_instance_uid="1.2.3.4.5")
    line = capfd.readouterr().err
    assert "PLANTED" not in line
    assert "1.2.3.4.5" not in line
    assert json.loads(line)["study_instance_uid"] == pseudonym("1.2.3.4.5")


def test_a_line_break_cannot_forge_a_log_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json", "test")
    logger().warning("refused", calling_ae_title='X\n{"event": "forged"}')
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("planted", ["\r\n", "\x1b[2J", "\x9b31m", "\u2028", "\u202e", "\x00"])
def test_nothing_a_peer_sends_breaks_a_line_or_steers_a_terminal(
    form: Literal["console", "json"], planted: str, capfd: pytest.CaptureFixture[str]
) -> None:
    configure("INFO", form, "test")
    logger().warning("refused", calling_ae_title=f"X{planted}forged")
    logging.getLogger("another").warning("%s", f"X{planted}forged")
    lines = capfd.readouterr().err.split("\n")
    assert len(lines) == len(["ours", "another's", "after the last line break"])
    assert all(planted not in line for line in lines)


def test_a_pseudonym_is_stable_and_short() -> None:
    assert pseudonym("1.2.3") == pseudonym("1.2.3") != pseudonym("1.2.4")
    assert len(pseudonym("1.2.3")) == 12


def parse_date(text: str) -> None:
    raise ValueError(f"{text} is no date")


def test_an_error_is_told_by_class_and_place_its_text_may_name_a_patient(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure("INFO", "json", "test")
    try:
        parse_date(PATIENT_NAME)
    except ValueError as error:
        logger().exception("a step failed")
        logger().error("a stage failed", exc_info=error)
        logging.getLogger("some.library").exception("it failed there")
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    for line in lines:
        entry = json.loads(line)
        assert "PLANTED" not in line
        assert entry["exception"].endswith("ValueError")
        assert "test_logs.py" in entry["exception"]

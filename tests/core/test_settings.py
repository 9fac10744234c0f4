import re
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.settings import (
    CommonSettings,
    DeliverySettings,
    ReceiverSettings,
    WorkerSettings,
    check_names,
    load,
)


@pytest.fixture(autouse=True)
def _away_from_any_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_open_by_default() -> None:
    assert load(ReceiverSettings).host == "127.0.0.1"


def test_the_embedded_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = load(CommonSettings, data_dir=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path / 'metserve.db'}"
    assert settings.embedded_broker_dir == tmp_path / "broker"


def test_the_environment_sets_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_RECEIVER_AE_TITLE", "AI_NODE")
    assert load(ReceiverSettings).ae_title == "AI_NODE"


def test_destinations_are_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "METSERVE_DELIVERY_DESTINATIONS", '[{"name":"pacs","ae_title":"PACS","host":"10.0.0.5","port":104}]'
    )
    (destination,) = load(DeliverySettings).destinations
    assert (destination.ae_title, destination.objects[:2]) == ("PACS", ("seg", "sr"))


def test_a_toml_file_sets_roles_in_tables_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "metserve.toml"
    file.write_text(
        'log_level = "ERROR"\n[receiver]\nport = 104\nae_title = "FILE"\n[worker]\nprofile = "preview"\n'
    )
    monkeypatch.setenv("METSERVE_CONFIG", str(file))
    monkeypatch.setenv("METSERVE_RECEIVER_AE_TITLE", "ENV")
    assert (load(ReceiverSettings).port, load(ReceiverSettings).ae_title) == (104, "ENV")
    assert load(WorkerSettings).profile == "preview"
    assert load(CommonSettings).log_level == "ERROR"


def test_a_missing_configuration_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_CONFIG", "/nowhere/metserve.toml")
    with pytest.raises(InvalidInput, match=re.escape("/nowhere/metserve.toml")):
        load(ReceiverSettings)


@pytest.mark.parametrize("value", [" ", "A" * 17, "BACK\\SLASH", "UMLÄUT"])
def test_a_wrong_ae_title_is_named_with_what_is_expected(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_RECEIVER_AE_TITLE", value)
    with pytest.raises(InvalidInput, match=r"METSERVE_RECEIVER_AE_TITLE.*1 to 16"):
        load(ReceiverSettings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(ReceiverSettings).port = 1  # type: ignore[misc]


def test_a_list_that_is_not_json_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_RECEIVER_CALLING_AE_TITLES", "PACS")
    with pytest.raises(InvalidInput, match=r"calling_ae_titles.*JSON"):
        load(ReceiverSettings)


def test_a_broken_toml_file_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "metserve.toml"
    file.write_text("[receiver\nport = 104")
    monkeypatch.setenv("METSERVE_CONFIG", str(file))
    with pytest.raises(InvalidInput, match="settings"):
        load(ReceiverSettings)


def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_RECIEVER_PORT", "104")
    with pytest.raises(InvalidInput, match=r"METSERVE_RECIEVER_PORT is unknown; METSERVE_RECEIVER_PORT"):
        check_names()


def test_a_misspelt_line_of_the_env_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("METSERVE_LOGLEVEL=DEBUG\n")
    with pytest.raises(InvalidInput, match="METSERVE_LOG_LEVEL"):
        check_names()


def test_every_setting_of_the_example_file_is_known(tmp_path: Path) -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    lines = [
        line[1:].partition("=")[0] + "=1" for line in example.splitlines() if line.startswith("#METSERVE_")
    ]
    (tmp_path / ".env").write_text("\n".join(lines))
    check_names()


def test_a_destination_of_the_settings_says_what_kind_of_system_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "METSERVE_DELIVERY_DESTINATIONS",
        '[{"name":"tps","ae_title":"TPS","host":"10.0.0.6","port":104,"profile":"raystation"}]',
    )
    (destination,) = load(DeliverySettings).destinations
    assert (destination.objects, destination.notices) == (("rtstruct",), False)


def test_a_code_is_value_scheme_and_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_WORKER_PROCEDURE_CODE", "MRB7 | 99SITE | Brain before radiosurgery")
    assert load(WorkerSettings).procedure_code == "MRB7|99SITE|Brain before radiosurgery"
    assert load(WorkerSettings).equipment_purpose_code == ""


@pytest.mark.parametrize(
    "value", ["MRB7", "MRB7|99SITE", "|99SITE|x", "A" * 17 + "|99SITE|x", "a|b|c|d", "a|b|c\\\\d"]
)
def test_a_wrong_code_is_told_with_what_is_expected(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_WORKER_PROCEDURE_CODE", value)
    with pytest.raises(InvalidInput, match=r"METSERVE_WORKER_PROCEDURE_CODE.*value\|scheme\|meaning"):
        load(WorkerSettings)

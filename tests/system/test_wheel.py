"""The wheel: everything that runs and nothing else, installed as a hospital would, away from the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("cli", "core", "evaluation", "phantom", "service", "training", "worker")
MODELS = "share/metserve/models"


@dataclass(frozen=True)
class Installation:
    """A virtual environment of its own with the wheel and the worker's pinned packages."""

    wheel: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command in an empty folder."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("METSERVE_")}
        environment["COLUMNS"] = "200"
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        command = [str(self.folder / "venv" / "bin" / "metserve"), *arguments]
        return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "venv", with_pip=True)
    pip(folder, "wheel", "--no-deps", "--wheel-dir", str(folder), str(REPOSITORY))
    (wheel,) = folder.glob("*.whl")
    pip(folder, "install", "--require-hashes", "-r", str(REPOSITORY / "requirements" / "worker-cpu.lock"))
    pip(folder, "install", "--no-deps", "--no-index", str(wheel))
    return Installation(wheel, folder)


def pip(folder: Path, *arguments: str) -> None:
    python = folder / "venv" / "bin" / "python"
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, cwd=folder, check=True)


def sources() -> set[str]:
    """Return the files of the packages, as the repository has them."""
    return {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


pytestmark = [
    pytest.mark.system,
    # The locked onnxruntime is that of this platform; elsewhere another one would be built from source.
    pytest.mark.skipif(sys.platform != "linux", reason="the lock files are for Linux"),
]


def test_the_wheel_holds_the_packages_the_models_and_nothing_else(installation: Installation) -> None:
    with zipfile.ZipFile(installation.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    shared = {name.split("/data/", 1)[1] for name in names if ".data/" in name}
    assert shared == {f"{MODELS}/{path.name}" for path in (REPOSITORY / "models").iterdir()}
    assert {name for name in names if ".data/" not in name} == sources()
    assert "core/migrations/script.py.mako" in names
    assert any(name.startswith("core/migrations/versions/0001") for name in names)


def test_the_installed_command_tells_its_version_and_its_commands(installation: Installation) -> None:
    told = installation.run("--version")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.strip() in installation.wheel.name
    helped = installation.run("--help")
    assert helped.returncode == 0
    assert "Research use only" in helped.stdout


def test_the_installed_models_are_found_and_whole(installation: Installation) -> None:
    verified = installation.run("models", "verify")
    assert verified.returncode == 0, verified.stderr
    assert "every file is the one that was released" in verified.stdout


def test_the_worker_packages_alone_suffice_to_analyse(installation: Installation) -> None:
    """Up to the refusal of a folder without images: everything the analysis needs is loaded by then."""
    (installation.folder / "notes").mkdir()
    (installation.folder / "notes" / "a.txt").write_text("no images here")
    refused = installation.run("analyze", str(installation.folder / "notes"), "--out", "out")
    assert refused.returncode == 2
    assert "none of them is a DICOM instance" in refused.stderr

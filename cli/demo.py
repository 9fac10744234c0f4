"""`metserve demo`: a study with known lesions through the whole service, found against inserted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.demo_study import DemoRequest, make_study
from cli.demo_table import print_score
from cli.embedded import ServiceAddress, configured_service, embedded_service, is_ready
from cli.send import send_folder
from core.errors import Transient
from core.geometry import Grid
from core.job import FINAL_STATES, JobState, Outcome
from core.provenance import RESEARCH_USE_NOTICE
from core.results import ResultKind
from phantom.dicom import PhantomIdentity
from phantom.scoring import StudyScore, match
from worker.encoding.segmentation.readback import read_segment_frames

ANALYSIS_LIMIT_S = 1200.0
"""Longer than eight members take on two slow cores."""

POLL_S = 0.5

QUIET_PERIOD_S = "3"
"""The demo knows that its study is complete once it is sent."""

LEAST_SENSITIVITY = 0.5
"""A demo that finds fewer of the large lesions than this has failed."""

DONE = FINAL_STATES | {JobState.ENCODED, JobState.PARKED}
"""States in which a job's outcome is known."""


@dataclass(frozen=True)
class _Fetched:
    """A finished job's results as REST served them."""

    job: dict[str, Any]
    seg: Dataset | None
    paths: tuple[Path, ...]


def run_demo(request: DemoRequest, console: Console) -> bool:
    """Make, send, wait, fetch, compare.

    Parameters
    ----------
    request
        What the user asked for.
    console
        Where everything is told.

    Returns
    -------
    bool
        True when the study came back positive and enough of the large lesions were found.
    """
    study, identity, folder = make_study(request, console)
    address = configured_service()
    if is_ready(address):
        fetched = _run_through(address, folder, identity, request.out, console)
    else:
        overrides = {"METSERVE_ASSEMBLY_QUIET_PERIOD_S": QUIET_PERIOD_S}
        if request.profile:
            overrides["METSERVE_WORKER_PROFILE"] = request.profile
        service_folder = request.out / "service"
        console.print(f"no metserve answers at {address.api_url}; starting one for this demo")
        with embedded_service(service_folder, overrides) as embedded:
            fetched = _run_through(embedded, folder, identity, request.out, console)
    if fetched.job["outcome"] != Outcome.POSITIVE or fetched.seg is None:
        console.print(f"outcome {fetched.job['outcome']}: {fetched.job['message'] or 'no lesion was found'}")
        return False
    grid = study.t1_post.grid
    score = match(study.truth, label_map_of(fetched.seg, grid), grid.voxel_volume_mm3)
    print_score(score, console)
    _print_times(fetched.job, console)
    console.print(f"results: {', '.join(str(path) for path in fetched.paths)}")
    console.print(RESEARCH_USE_NOTICE)
    return _is_good_enough(score, console)


def label_map_of(seg: Dataset, grid: Grid) -> NDArray[np.uint16]:
    """Return the segments of a SEG as a label map on the T1-post grid, placed by position alone."""
    label_map = np.zeros(grid.shape_kji, dtype=np.uint16)
    for frame in read_segment_frames(seg):
        k = round(float(grid.to_index_kji(frame.plane.origin_lps_mm)[0]))
        label_map[k][frame.mask_ji] = frame.segment_number
    return label_map


def _run_through(
    address: ServiceAddress, folder: Path, identity: PhantomIdentity, out: Path, console: Console
) -> _Fetched:
    send_folder(
        folder,
        host=address.dicom_host,
        port=address.dicom_port,
        called_ae=address.ae_title,
        calling_ae="METSERVE_DEMO",
        console=console,
    )
    with httpx.Client(base_url=f"{address.api_url}/api/v1", timeout=30) as http:
        job = _wait_for_outcome(http, identity.uid("study"), console)
        return _fetch(http, job, out)


def _wait_for_outcome(http: httpx.Client, study_instance_uid: str, console: Console) -> dict[str, Any]:
    deadline = time.monotonic() + ANALYSIS_LIMIT_S
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("received", total=1.0)
        while time.monotonic() < deadline:
            answer = http.get(f"/studies/{study_instance_uid}")
            jobs = answer.raise_for_status().json()["jobs"]
            if jobs:
                _show(progress, bar, jobs[0], console)
                if jobs[0]["state"] in DONE:
                    return dict(http.get(f"/jobs/{jobs[0]['job_id']}").raise_for_status().json())
            time.sleep(POLL_S)
    raise Transient(f"the study had no outcome within {ANALYSIS_LIMIT_S:.0f} s")


def _show(progress: Progress, bar: TaskID, job: dict[str, Any], console: Console) -> None:
    """Move the bar; where there is no terminal to move it on, tell each new state on a line."""
    if not console.is_terminal and progress.tasks[0].description != job["state"]:
        console.print(f"the job is {job['state']}")
    progress.update(bar, description=job["state"], completed=job["progress"])


def _fetch(http: httpx.Client, job: dict[str, Any], out: Path) -> _Fetched:
    paths = {out / "findings.json": f"/jobs/{job['job_id']}/findings"}
    kinds = [kind for kind in ResultKind if kind in job["results"]]
    paths |= {out / f"{kind.value}.dcm": f"/jobs/{job['job_id']}/objects/{kind.value}" for kind in kinds}
    for path, url in paths.items():
        path.write_bytes(http.get(url).raise_for_status().content)
    seg = dcmread(out / "seg.dcm") if ResultKind.SEG in kinds else None
    return _Fetched(job, seg, tuple(paths))


def _print_times(job: dict[str, Any], console: Console) -> None:
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in job["stage_seconds"].items())
    console.print(f"seconds: {stages}; profile {job['model']['profile']}")


def _is_good_enough(score: StudyScore, console: Console) -> bool:
    sensitivity = score.sensitivity_large
    if sensitivity is None or sensitivity >= LEAST_SENSITIVITY:
        return True
    console.print(
        f"[red]{sensitivity:.0%} of the large lesions were found, expected {LEAST_SENSITIVITY:.0%}[/red]"
    )
    return False

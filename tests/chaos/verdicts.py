"""What must hold after every fault: nothing acknowledged is lost, no result comes twice, no study is left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from pydicom import dcmread
from sqlalchemy import select

from core.clock import utc_now
from core.database import InstanceRow, JobRow, StudyRow
from core.job import JobState
from core.job_records import SELECTION, replay
from tests.chaos.destination import Destination
from tests.chaos.router import Router
from tests.chaos.site import Site
from tests.chaos.small_studies import SmallStudy

RESULT_KINDS = 2
"""A segmentation and a report."""


@dataclass
class Losses:
    """What went wrong; everything empty is what is promised."""

    lost_instances: list[str] = field(default_factory=list)
    changed_instances: list[str] = field(default_factory=list)
    duplicate_results: list[str] = field(default_factory=list)
    without_outcome: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())


def states_of(site: Site, studies: list[SmallStudy]) -> dict[str, list[str]]:
    """Return study -> states of its jobs, the newest first."""
    uids = [study.study_instance_uid for study in studies]
    statement = (
        select(StudyRow.study_instance_uid, JobRow.state)
        .join(StudyRow.jobs)
        .where(StudyRow.study_instance_uid.in_(uids))
        .order_by(JobRow.revision.desc())
    )
    found: dict[str, list[str]] = {uid: [] for uid in uids}
    with site.sessions()() as session:
        for uid, state in session.execute(statement):
            found[uid].append(state)
    return found


def is_settled(site: Site, studies: list[SmallStudy]) -> bool:
    """Tell whether the newest job of each study is delivered, and covers every instance."""
    newest = states_of(site, studies)
    if not all(states and states[0] == JobState.DELIVERED for states in newest.values()):
        return False
    with site.sessions()() as session:
        awaiting = select(StudyRow.id).where(StudyRow.awaits_assembly)
        return session.scalars(awaiting).first() is None


def replay_parked(site: Site, studies: list[SmallStudy]) -> int:
    """Do what an operator does with parked jobs; return how many there were."""
    uids = [study.study_instance_uid for study in studies]
    parked = (
        select(JobRow.id)
        .join(StudyRow)
        .where(JobRow.state == JobState.PARKED, StudyRow.study_instance_uid.in_(uids))
    )
    with site.sessions()() as session:
        job_ids = list(session.scalars(parked))
    for job_id in job_ids:
        with site.writing_sessions().begin() as session:
            replay(session, job_id, utc_now())
    return len(job_ids)


def judge(site: Site, router: Router, destination: Destination, studies: list[SmallStudy]) -> Losses:
    """Compare what was acknowledged with what is kept, and what was published with what arrived."""
    losses = Losses()
    _judge_instances(site, router, losses)
    for study in studies:
        _judge_study(site, destination, study, losses)
    return losses


def _judge_instances(site: Site, router: Router, losses: Losses) -> None:
    with site.sessions()() as session:
        rows = session.execute(select(InstanceRow.sop_instance_uid, InstanceRow.path))
        kept = dict(rows.all())
    for uid, digest in router.acknowledged.items():
        path = site.data / kept[uid] if uid in kept else None
        if path is None or not path.is_file():
            losses.lost_instances.append(uid)
        elif hashlib.sha256(dcmread(path).PixelData).hexdigest() != digest:
            losses.changed_instances.append(uid)


def _judge_study(site: Site, destination: Destination, study: SmallStudy, losses: Losses) -> None:
    uid = study.study_instance_uid
    statement = select(JobRow).join(StudyRow).where(StudyRow.study_instance_uid == uid)
    with site.sessions()() as session:
        jobs = list(session.scalars(statement.order_by(JobRow.revision)))
    if not jobs or jobs[-1].outcome is None or _bound(jobs[-1]) != len(study.datasets):
        losses.without_outcome.append(uid)
        return
    delivered = [job for job in jobs if job.state == JobState.DELIVERED]
    if jobs[-1] not in delivered:
        losses.undelivered.append(uid)
    arrived = destination.result_sets(uid)
    published = sum(bool(job.results) for job in jobs)
    if any(len(instances) > published for instances in arrived.values()):
        losses.duplicate_results.append(uid)
    if any(len(instances) < len(delivered) for instances in arrived.values()) or len(arrived) != RESULT_KINDS:
        losses.undelivered.append(uid)


def _bound(job: JobRow) -> int:
    return sum(len(s.sop_instance_uids) for s in SELECTION.validate_python(job.selection).selected)

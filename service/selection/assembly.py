"""Which series plays which role, and why; and whether a study has waited long enough. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from core.errors import UnsuitableReason
from core.settings import AssemblySettings
from core.study import (
    AnalysisMode,
    QualityFlag,
    SelectedSeries,
    Selection,
    SeriesRole,
    SeriesVerdict,
    Study,
)
from service.selection.acquisition_times import Moment
from service.selection.assumed_contrast import assume_contrast
from service.selection.series_scores import (
    Hindrance,
    Obstacle,
    Score,
    find_hindrance,
    is_same_acquisition,
    score_pair,
    score_series,
    score_t1_post,
    why_of_post,
)
from service.selection.series_traits import Contrast, Correction, SeriesTraits, read_traits

ROLE_NAMES = {SeriesRole.T1: "T1", SeriesRole.T1_POST: "T1 post-contrast"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A study without the series an analysis needs; every series has its verdict all the same."""

    reason: UnsuitableReason
    message: str
    verdicts: tuple[SeriesVerdict, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    traits: SeriesTraits
    score: Score


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The series of a study, by what they could be."""

    hindered: tuple[tuple[SeriesTraits, Hindrance], ...]
    posts: tuple[_Candidate, ...]
    others: tuple[SeriesTraits, ...]


def select_series(study: Study) -> Selection | Refusal:
    """Choose T1 and T1-post of a study, with a verdict on each of its series."""
    found = _sort_series(study)
    if not found.posts:
        return _refuse(found)
    post = found.posts[0]
    natives, of_post = _rank_natives(found.others, post.traits)
    t1 = natives[0] if natives else None
    verdicts = [
        *_hindered_verdicts(found),
        *_role_verdicts(SeriesRole.T1_POST, found.posts),
        *_role_verdicts(SeriesRole.T1, natives),
        *(_verdict(traits, (reason,)) for traits, reason in of_post),
    ]
    return Selection(
        mode=AnalysisMode.FULL if t1 else AnalysisMode.T1_POST_ONLY,
        selected=_selected(post, t1),
        verdicts=_in_order(study, verdicts),
        flags=_flags(found.posts, t1),
    )


def is_due(
    result: Selection | Refusal, *, quiet_s: float, is_requested: bool, settings: AssemblySettings
) -> bool:
    """Tell whether a study that got nothing new for ``quiet_s`` is to be answered now."""
    return is_requested or quiet_s >= required_quiet_s(result, settings)


def required_quiet_s(result: Selection | Refusal, settings: AssemblySettings) -> float:
    """Return for how long nothing new may have come before a study is answered, in seconds."""
    complete = isinstance(result, Selection) and result.mode is AnalysisMode.FULL
    return settings.quiet_period_s if complete else settings.incomplete_quiet_period_s


def _sort_series(study: Study) -> _Sorted:
    judged = [(traits, find_hindrance(traits)) for traits in map(read_traits, study.series)]
    usable = assume_contrast(
        [traits for traits, hindrance in judged if hindrance is None], [traits for traits, _ in judged]
    )
    posts = [_Candidate(t, score_t1_post(t)) for t in usable if t.contrast is Contrast.GIVEN]
    return _Sorted(
        hindered=tuple((traits, hindrance) for traits, hindrance in judged if hindrance),
        posts=tuple(sorted(posts, key=_rank, reverse=True)),
        others=tuple(traits for traits in usable if traits.contrast is not Contrast.GIVEN),
    )


def _rank(candidate: _Candidate) -> tuple[float, Moment, int, str]:
    """Points first; equals: the later acquisition, then the higher number."""
    traits = candidate.traits
    return (
        candidate.score.points,
        traits.acquired_at or Moment(0, 0.0),
        traits.first.series_number or 0,
        traits.series.series_instance_uid,
    )


def _rank_natives(
    others: tuple[SeriesTraits, ...], post: SeriesTraits
) -> tuple[tuple[_Candidate, ...], tuple[tuple[SeriesTraits, str], ...]]:
    """Return candidates for T1, best first, and those that show contrast, with the reason."""
    judged = [(traits, why_of_post(traits, post)) for traits in others]
    candidates = [_native_candidate(traits, post) for traits, reason in judged if not reason]
    of_post = tuple((traits, reason) for traits, reason in judged if reason)
    return tuple(sorted(candidates, key=_rank, reverse=True)), of_post


def _native_candidate(traits: SeriesTraits, post: SeriesTraits) -> _Candidate:
    alone, beside = score_series(traits), score_pair(traits, post)
    return _Candidate(traits, Score(alone.points + beside.points, (*alone.reasons, *beside.reasons)))


def _selected(post: _Candidate, t1: _Candidate | None) -> tuple[SelectedSeries, ...]:
    roles = [(SeriesRole.T1, t1), (SeriesRole.T1_POST, post)]
    return tuple(_select(role, candidate.traits) for role, candidate in roles if candidate)


def _select(role: SeriesRole, traits: SeriesTraits) -> SelectedSeries:
    instances = traits.stack.instances if traits.stack else ()
    uids = tuple(header.sop_instance_uid for header in instances)
    return SelectedSeries(role, traits.series.series_instance_uid, uids)


def _flags(posts: tuple[_Candidate, ...], t1: _Candidate | None) -> tuple[QualityFlag, ...]:
    flags = []
    if t1 is None:
        flags.append(QualityFlag.T1_POST_ONLY)
    if posts[0].traits.correction is Correction.NONE:
        flags.append(QualityFlag.NOT_DISTORTION_CORRECTED)
    if any(not is_same_acquisition(other.traits, posts[0].traits) for other in posts[1:]):
        flags.append(QualityFlag.SEVERAL_POST_CONTRAST_SERIES)
    return tuple(flags)


def _refuse(found: _Sorted) -> Refusal:
    reason, message = _refusal(found)
    verdicts = [
        *_hindered_verdicts(found),
        *(_verdict(t, _native_words(t)) for t in found.others),
    ]
    return Refusal(reason, message, tuple(verdicts))


def _refusal(found: _Sorted) -> tuple[UnsuitableReason, str]:
    """Return why there is no T1-post: the nearest miss explains most."""
    by_obstacle = {
        obstacle: [(t, h) for t, h in found.hindered if h.obstacle is obstacle] for obstacle in Obstacle
    }
    mr_count = len(found.others) + sum(traits.is_mr and not traits.is_result for traits, _ in found.hindered)
    if mr_count == 0:
        return UnsuitableReason.NO_MR_SERIES, f"no MR series; received: {_modalities(found)}"
    for obstacle, reason in _NEAR_MISSES:
        missed = [(t, h) for t, h in by_obstacle[obstacle] if t.contrast is Contrast.GIVEN]
        if missed:
            traits, hindrance = missed[0]
            return reason, f"the T1 post-contrast cannot be used: {traits.label}: {hindrance.words}"
    if by_obstacle[Obstacle.WRONG_ANATOMY] and not found.others:
        traits, hindrance = by_obstacle[Obstacle.WRONG_ANATOMY][0]
        return UnsuitableReason.WRONG_ANATOMY, f"no series of the head; {traits.label}: {hindrance.words}"
    return UnsuitableReason.NO_POST_CONTRAST, _no_post_message(found, mr_count)


_NEAR_MISSES = (
    (Obstacle.IRREGULAR_GEOMETRY, UnsuitableReason.IRREGULAR_GEOMETRY),
    (Obstacle.UNSUPPORTED_GEOMETRY, UnsuitableReason.UNSUPPORTED_GEOMETRY),
)


def _no_post_message(found: _Sorted, mr_count: int) -> str:
    natives = ", ".join(traits.label for traits in found.others) or "none"
    return (
        f"no T1 post-contrast among {mr_count} MR series; T1-weighted without sign of contrast agent:"
        f" {natives}; expected one with Contrast/Bolus Agent or a description such as 'post', '+C', 'KM'"
    )


def _modalities(found: _Sorted) -> str:
    counts = Counter(traits.first.modality or "unknown" for traits, _ in found.hindered)
    return ", ".join(f"{count} x {modality}" for modality, count in sorted(counts.items())) or "nothing"


def _hindered_verdicts(found: _Sorted) -> list[SeriesVerdict]:
    return [_verdict(traits, (hindrance.words,)) for traits, hindrance in found.hindered]


def _role_verdicts(role: SeriesRole, ranked: tuple[_Candidate, ...]) -> list[SeriesVerdict]:
    verdicts = []
    for candidate in ranked:
        chosen = candidate is ranked[0]
        name = ROLE_NAMES[role]
        head = f"chosen as {name}" if chosen else f"could be {name}; {ranked[0].traits.label} fits better"
        reasons = (head, *_facts(candidate.traits), *candidate.score.reasons)
        points = candidate.score.points
        verdicts.append(_verdict(candidate.traits, reasons, role if chosen else None, points))
    return verdicts


def _native_words(traits: SeriesTraits) -> tuple[str, ...]:
    return ("T1, but there is no T1 post-contrast to go with it", *_facts(traits))


def _facts(traits: SeriesTraits) -> tuple[str, ...]:
    note = traits.stack.note if traits.stack else ""
    contrast = f"contrast agent {traits.contrast}: {traits.contrast_source}"
    return tuple(fact for fact in (traits.weighting.words, contrast, note) if fact)


def _verdict(
    traits: SeriesTraits, reasons: tuple[str, ...], role: SeriesRole | None = None, score: float = 0.0
) -> SeriesVerdict:
    return SeriesVerdict(
        series_instance_uid=traits.series.series_instance_uid,
        series_number=traits.first.series_number,
        series_description=traits.first.series_description,
        modality=traits.first.modality,
        number_of_instances=len(traits.series.instances),
        role=role,
        score=score,
        reasons=reasons,
    )


def _in_order(study: Study, verdicts: list[SeriesVerdict]) -> tuple[SeriesVerdict, ...]:
    order = {series.series_instance_uid: place for place, series in enumerate(study.series)}
    return tuple(sorted(verdicts, key=lambda verdict: order[verdict.series_instance_uid]))

"""The page: one HTML file that loads nothing, rendered from its sections."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evaluation.figures.results import EvaluationResults, Header, Summary
from evaluation.report.definitions import DEFINITIONS
from evaluation.report.formats import number, percent
from evaluation.report.sections import build_sections
from evaluation.report.stress_run import StressRun

TEMPLATE = "report.html.j2"


def render_page(results: EvaluationResults, command: str, stress: Sequence[StressRun]) -> str:
    """Render everything; texts from studies and files are escaped.

    Parameters
    ----------
    command
        What a reader types to get the same results.
    stress
        Harder cohorts.
    """
    environment = Environment(
        loader=PackageLoader("evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = Markup  # our own SVG; names in it are escaped by matplotlib
    return environment.get_template(TEMPLATE).render(
        header=results.header,
        headline=_headline(results.summary),
        origin=_origin(results.header),
        facts=_facts(results),
        sections=build_sections(results, stress),
        definitions=DEFINITIONS.items(),
        command=command,
    )


def _headline(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return the four figures one looks for first."""
    return (
        (percent(summary.sensitivity.all), "of all metastases detected"),
        (percent(summary.sensitivity.ge_6mm), "of those of 6 mm or more"),
        (number(summary.fp_per_scan), "false positives a scan"),
        (number(summary.median_dice), "median Dice of a scan"),
    )


def _origin(header: Header) -> str:
    if header.origin == "synthetic":
        return (
            "These are computed heads with computed metastases. How the networks do on patients does not "
            "follow from these figures."
        )
    return "Other patients, other scanners and other sequences give other figures."


def _facts(results: EvaluationResults) -> tuple[tuple[str, str], ...]:
    header = results.header
    precision = "" if header.precision == "f32" else " (the service computes in f32)"
    return (
        ("model set", f"{header.model_set} {header.model_version}, profile {header.profile}"),
        ("model digest", header.model_digest),
        ("members", ", ".join(header.members)),
        ("operating point", _operating_point(results)),
        ("cohort", f"{header.cohort}: {header.n_studies} scans, {header.n_lesions} metastases"),
        ("cohort digest", header.cohort_digest),
        ("precision", f"{header.precision}{precision}"),
        ("software", f"metserve {header.software_version}, evaluation {header.evaluation_version}"),
    )


def _operating_point(results: EvaluationResults) -> str:
    released = results.released
    return (
        f"threshold {released.threshold:g}, findings of at least {released.minimum_component_voxels} voxels "
        "at 1 mm"
    )

"""Rules for Prometheus are well-formed and ask for metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from service.api import metrics

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yml"


def test_every_rule_has_a_name_a_severity_and_asks_for_a_metric_of_the_api() -> None:
    exposed = set(re.findall(r'"(metserve_\w+)"', Path(metrics.__file__).read_text(encoding="utf-8")))
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    assert group["rules"]
    for rule in group["rules"]:
        assert rule["alert"].startswith("Metserve")
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(re.findall(r"\bmetserve_\w+", rule["expr"])) <= exposed
        assert rule["annotations"]["summary"]

"""EvaluationResults -> two JSON files, two CSV files and one HTML page that needs nothing else."""

from evaluation.report.files import write_report
from evaluation.report.stress_run import StressRun

__all__ = ["StressRun", "write_report"]

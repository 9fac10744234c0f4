"""EvaluationResults -> results.json, two CSV files and one HTML page that needs nothing else."""

from evaluation.report.files import StressRun, write_report

__all__ = ["StressRun", "write_report"]

"""One self-contained HTML page per slide, for people."""

from blurryscope.report.page import ReportSettings, render_report, write_report
from blurryscope.report.triage import TriageSettings

__all__ = ["ReportSettings", "TriageSettings", "render_report", "write_report"]

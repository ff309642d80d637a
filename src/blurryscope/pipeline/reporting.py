"""The report of a slide's folder written again, from what lies there."""

from pathlib import Path

from blurryscope.artifacts.whole import present_folder
from blurryscope.pipeline.scored_places import refuse_scores_of_other_names
from blurryscope.report import write_report


def report_again(slide_dir: Path) -> Path:
    """Write the report; an `InputError` where its scores were made under other names."""
    present_folder(slide_dir, "the slide's folder")
    refuse_scores_of_other_names(slide_dir)
    return write_report(slide_dir)

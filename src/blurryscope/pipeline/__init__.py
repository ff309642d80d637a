"""From films to a report; see `run`."""

from blurryscope.pipeline.run import (
    find_and_write_cores,
    run,
    score_inputs,
    stitch_into,
)
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import repeat_folders

__all__ = [
    "RunSettings",
    "find_and_write_cores",
    "repeat_folders",
    "run",
    "score_inputs",
    "stitch_into",
]

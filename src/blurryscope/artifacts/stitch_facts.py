"""What stitching found, as `stitch.json` tells it."""

import json
from pathlib import Path

from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError


def read_stitch_facts(path: Path) -> dict[str, object]:
    """Read `stitch.json`, whatever it holds; an `InputError` where it is none or is damaged."""
    remedy = "Stitch the slide again"
    try:
        stored = json.loads(present_file(path, remedy).read_bytes())
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, lists in lists
        raise InputError(path, f"cannot be read ({error})", remedy) from error
    if not isinstance(stored, dict):
        raise InputError(path, "is no JSON object", remedy)
    return stored

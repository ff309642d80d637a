"""Tells a stage that was paused between two lanes from one that scanned glass meanwhile.

Over glass nothing moves in the picture, and a pause may last as long as two lanes. But lanes that
follow each other show the same tissue where they overlap; those that glass lies between do not.
"""

from collections.abc import Sequence
from itertools import pairwise

from blurryscope.stitch.lanes import Lane


def blank_runs(lanes: Sequence[Lane]) -> list[range]:
    """Numbers of the lanes of each run over glass that may have been a pause.

    The stage alternates, so a pause hides an even number of lanes; one that begins or ends the film
    has no lane to compare with.
    """
    seen = [number for number, lane in enumerate(lanes) if lane.is_seen]
    between = [range(a + 1, b) for a, b in pairwise(seen)]
    return [run for run in between if len(run) and len(run) % 2 == 0]

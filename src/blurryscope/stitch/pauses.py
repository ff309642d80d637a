"""Tells a stage that was paused between two lanes from one that scanned glass meanwhile.

Over glass nothing moves in the picture, and a pause may last as long as two lanes. But lanes that
follow each other show the same tissue where they overlap; those that glass lies between do not.
"""

from collections.abc import Sequence
from itertools import pairwise

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.film_so_far import FilmSoFar, motion_of
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.layout import FirstLayout, lane_beside
from blurryscope.stitch.steps import UsualSteps, lanes_apart
from blurryscope.stitch.trajectory import Trajectory


def pauses_among(film: FilmSoFar, layout: FirstLayout) -> set[int]:
    """Numbers of lanes over glass that are none: the stage stood between the lanes around them."""
    pauses: set[int] = set()
    for run in blank_runs(layout.motion.lanes):
        before = layout.trajectory.between_lanes(run.start - 1, run.start - 1)
        after, camera = layout.motion.lanes[run.stop], layout.trajectory.camera
        if is_next(film, before, after, layout.usual, camera, layout.pitch_px):
            pauses |= set(run)
    return pauses


def is_next(
    film: FilmSoFar,
    placed: Trajectory,
    lane: Lane,
    usual: UsualSteps,
    camera: CameraModel,
    pitch_px: float,
) -> bool:
    """Whether a lane shows the same tissue as one that is placed, a pitch above it."""
    apart = lanes_apart(motion_of(film, [lane]), usual, camera)
    return lane_beside(placed, apart, pitch_px, film.coarse, film.coarse_reduction)[1]


def blank_runs(lanes: Sequence[Lane]) -> list[range]:
    """Numbers of the lanes of each run over glass that may have been a pause.

    The stage alternates, so a pause hides an even number of lanes; one that begins or ends the film
    has no lane to compare with.
    """
    seen = [number for number, lane in enumerate(lanes) if lane.is_seen]
    between = [range(a + 1, b) for a, b in pairwise(seen)]
    return [run for run in between if len(run) and len(run) % 2 == 0]

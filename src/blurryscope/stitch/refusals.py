"""Films that cannot be stitched, and what to do instead: each refusal is an `InputError`."""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.steps import Motion, usual_steps

_LEAST_FRAMES = 10
_LONGEST_STEP = 0.85
"""Of the field, from frame to frame; what two frames share beyond that is mostly motion blur."""
_MOST_OFF_TOLD = 0.15
"""Part of the told speed; a right record and a film that can be stitched agree to 2 %."""


def refuse_few_frames(where: object, frame_count: int) -> None:
    """Raise where there are too few frames for a scan."""
    if frame_count < _LEAST_FRAMES:
        raise InputError(
            where,
            f"holds {frame_count} frames, too few for a scan",
            "Give the film of a whole scan",
        )


def refuse_no_zigzag(
    where: object, axis: NDArray[np.float64] | None, lanes: Sequence[Lane]
) -> None:
    """Raise where no motion is seen, or no lanes back and forth.

    `axis` is the (row, col) along which the stage was seen to move.
    """
    if axis is None:
        raise InputError(
            where,
            "nothing is seen to move: the stage stood still, or the field is empty glass",
            "Check that the stage moved and that the slide carries tissue where it was scanned",
        )
    if len(lanes) < 2:
        raise InputError(
            where,
            "only one lane was found, or movement in one direction only",
            "Give the film of a zigzag of at least two lanes in opposite directions",
        )


def refuse_another_speed(where: object, seen_px_per_s: float, told_px_per_s: float | None) -> None:
    """Raise where the film shows another speed than the rig told: then links are chance."""
    if told_px_per_s is not None and abs(seen_px_per_s / told_px_per_s - 1) > _MOST_OFF_TOLD:
        raise InputError(
            where,
            f"shows the stage at {seen_px_per_s:.0f} pixels a second, but by its recording.json "
            f"it ran at {told_px_per_s:.0f}: frames that hardly overlap tell nothing",
            "Scan with more frames a second, or slower; if the record is of another lens, "
            "correct its pixel_size_um",
        )


def refuse_unlinked(
    where: object,
    motion: Motion,
    axis: NDArray[np.float64] | None,
    told_step_px: float | None,
) -> NoReturn:
    """Raise with the likeliest cause why no two lanes of a film can be joined.

    Parameters
    ----------
    axis
        (row, col) along which the stage was seen to move.
    told_step_px
        How far the stage goes from frame to frame, by what the rig told.
    """
    if told_step_px is not None and axis is not None:
        _refuse_long_steps(where, motion.frame_shape, axis, told_step_px)
    _refuse_steps_one_way(where, motion)
    raise InputError(
        where,
        "neighbouring lanes show no common tissue, so they cannot be joined",
        "Scan with a smaller lane pitch, or check that the slide carries tissue",
    )


def _refuse_long_steps(
    where: object, frame_shape: tuple[int, int], axis: NDArray[np.float64], step_px: float
) -> None:
    """Raise where frames of a lane hardly overlap each other."""
    field_px = min(
        side / max(abs(part), 1e-9) for side, part in zip(frame_shape, axis.tolist(), strict=True)
    )
    if step_px > _LONGEST_STEP * field_px:
        raise InputError(
            where,
            f"frames of a lane hardly overlap: by its recording.json the stage goes "
            f"{step_px:.0f} pixels from frame to frame, and the field is {field_px:.0f} long",
            "Scan with more frames a second, or slower",
        )


def _refuse_steps_one_way(where: object, motion: Motion) -> None:
    """Raise where in the lanes of one direction frames do not overlap each other at all."""
    if usual_steps(motion) is None:
        raise InputError(
            where,
            "frames of the lanes in one direction share no tissue with the next, so nothing "
            "tells where they lie; read-out along the lanes makes the steps of one direction "
            "longer than those of the other",
            "Scan with more frames a second, or slower, or turn the camera by a quarter",
        )

"""What the times of turns leave of the distance between rows of cores, to any stitcher.

    python benchmarks/turn_ceiling.py TRUTH.json ... [--draws N] [--seed N]

Glass between two rows of cores shows nothing, so that their distance along the lanes follows from
when the stage turned and how long it rested. An estimator is given more than any stitcher sees:
every place of every frame within a row of cores, where lanes turn (always at the same two places),
the speed, and all that happened within lanes, over glass too. It is not told how long the stage
rested at each turn, which scatters as the truth says, nor the two places and the mean rest. Rows
are set apart by least squares, which is the best that is linear and right in the mean. Told are the
scatter of turns, what that estimator makes of the film's own turns, and of turns drawn anew from
them: the median and the luckiest twentieth of the distance (95 %) over the slide.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, StageState
from blurryscope.basics.errors import BlurryScopeError
from blurryscope.evaluate.placement import Truth, measure_placement, read_truth

_RAMP_FRAMES, _CRUISE_FRAMES = 3, 5
"""Frames at each end of a lane that are left out as ramps, and those after them that tell when it
passed; a jerk within them is outvoted."""
_LUCKY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The lanes of a film and the time between them, in frames."""

    senses: NDArray[np.float64]
    """(lanes,) 1 towards +x, -1 towards -x."""
    rows: NDArray[np.int64]
    """(lanes,) which row of cores each shows; -1 for glass."""
    lasted: NDArray[np.float64]
    """(lanes - 1,) from when a lane at full speed would have passed x = 0 to when the next would:
    a rest, and twice the way to the turn."""
    speed: float
    """Pixels a frame."""

    @property
    def deviations(self) -> NDArray[np.float64]:
        """By how much turns of one side differ, (lanes - 1,) frames."""
        left = self.senses[:-1] < 0
        means = np.where(left, self.lasted[left].mean(), self.lasted[~left].mean())
        return np.asarray(self.lasted - means)


def main() -> int:
    """Print a line for each truth."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("truths", type=Path, nargs="+", help="the truth.json of a scan")
    parser.add_argument("--draws", type=int, default=400, help="how often turns are drawn anew")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("95 % over the slide, px, by turns alone:")
    for path in given.truths:
        truth = read_truth(path)
        turns = turns_of(truth)
        deviations = turns.deviations
        own = over_slide_px(truth, turns, deviations)
        rng = np.random.default_rng(given.seed)
        drawn = [
            over_slide_px(truth, turns, rng.choice(deviations, len(deviations)))
            for _ in range(given.draws)
        ]
        scatter = float(deviations.std(ddof=2))
        print(
            f"{path}: turns scatter by {scatter:.2f} frames ({scatter * turns.speed:.0f} px of "
            f"way); this film {own:.1f}, drawn anew {np.median(drawn):.1f}, "
            f"luckiest twentieth {np.quantile(drawn, _LUCKY):.1f}"
        )
    return 0


def turns_of(truth: Truth) -> Turns:
    """Read from the truth when each lane at full speed would have passed x = 0."""
    x_px, y_px = truth.centres_px.T
    lanes = [np.flatnonzero(truth.lanes == n) for n in range(int(truth.lanes.max()) + 1)]
    speed = float(np.median(np.concatenate([np.abs(np.diff(x_px[frames])) for frames in lanes])))
    senses = np.array([np.sign(x_px[frames[-1]] - x_px[frames[0]]) for frames in lanes])
    begun, ended = [], []
    for frames, sense in zip(lanes, senses, strict=True):
        passed = frames - sense * x_px[frames] / speed
        begun.append(float(np.median(passed[_RAMP_FRAMES:][:_CRUISE_FRAMES])))
        ended.append(float(np.median(passed[:-_RAMP_FRAMES][-_CRUISE_FRAMES:])))
    return Turns(
        senses=senses,
        rows=np.array([_row_shown(truth, float(np.median(y_px[frames]))) for frames in lanes]),
        lasted=np.array(begun[1:]) - np.array(ended[:-1]),
        speed=speed,
    )


def over_slide_px(truth: Truth, turns: Turns, deviations: NDArray[np.float64]) -> float:
    """How far off frames lie, 95 %, where turns lasted so many frames longer than the mean."""
    x_px = truth.centres_px[:, 0] + row_errors_px(turns, deviations)[_rows_of_frames(truth, turns)]
    placed = replace(truth, centres_px=np.stack([x_px, truth.centres_px[:, 1]], axis=1))
    return measure_placement(_places(placed), truth).over_slide.ninety_five_px


def row_errors_px(turns: Turns, deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows,) how far least squares puts each row along x from where it lies, the first at 0."""
    row_count = int(turns.rows.max()) + 1
    shown = np.flatnonzero(turns.rows >= 0)
    equations, targets = [], []
    for first, last in pairwise(shown):
        between = slice(first, last)
        # Unknown are twice the ways to the left and to the right turn, the rest, and the rows.
        ways, offsets = np.zeros(2), np.zeros(row_count)
        np.add.at(ways, (turns.senses[between] > 0).astype(int), turns.senses[between])
        offsets[turns.rows[last]] += turns.senses[last]
        offsets[turns.rows[first]] -= turns.senses[first]
        count = last - first
        equation = np.concatenate([ways, [count], offsets[1:] / turns.speed])
        equations.append(equation / np.sqrt(count))
        targets.append(deviations[between].sum() / np.sqrt(count))
    # The rest and the ways to the turns can make up for each other: the shortest answer is taken.
    answer = np.linalg.lstsq(np.array(equations), np.array(targets), rcond=1e-9)[0]
    return np.concatenate([[0.0], answer[3:]])


def _row_shown(truth: Truth, y_px: float) -> int:
    """The row of cores that a lane at this height shows; -1 for none."""
    reach_px = truth.field_px[1] / 2 + 0.8 * truth.core_diameter_px / 2
    apart = [(abs(y - y_px), row) for row, y in enumerate(_heights_px(truth))]
    nearest_px, row = min(apart)
    return row if nearest_px < reach_px else -1


def _heights_px(truth: Truth) -> Sequence[float]:
    """Where the rows of cores lie across the lanes."""
    present = [core for core in truth.cores if not core.is_missing]
    return [
        float(np.mean([core.centre_px[1] for core in present if core.name.row == row]))
        for row in sorted({core.name.row for core in present})
    ]


def _rows_of_frames(truth: Truth, turns: Turns) -> NDArray[np.int64]:
    """The row whose error each frame shares; frames that show no tissue are not measured."""
    return np.where(truth.lanes < 0, 0, np.maximum(turns.rows, 0)[truth.lanes])


def _places(truth: Truth) -> list[FramePlace]:
    """The places of all frames in lanes, as `frames.csv` would hold them."""
    return [
        FramePlace(
            frame=frame,
            time_s=float(frame),
            state=StageState.MOVING if lane >= 0 else StageState.RESTING,
            lane=int(lane),
            x_px=float(x),
            y_px=float(y),
            confidence=1.0,
        )
        for frame, (lane, (x, y)) in enumerate(zip(truth.lanes, truth.centres_px, strict=True))
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BlurryScopeError as error:
        print(error, file=sys.stderr)
        sys.exit(2)

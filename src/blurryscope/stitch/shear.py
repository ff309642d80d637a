"""The read-out of rows that lie along the lanes, told by how lanes shear.

While its rows are read one after another the stage moves on, and shears each frame along the lane.
Lanes of opposite direction shear in opposite ways, so that their overlap agrees over its whole
height only when the shear is undone.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from blurryscope.basics.image import Grey
from blurryscope.stitch.lane_strips import DetailOf, StripLayer, scoring
from blurryscope.stitch.strips import OffsetSurface, compare_near
from blurryscope.stitch.trajectory import Trajectory, usual_interval_s

_MOST_PAIRS = 4
"""Pairs of lanes looked at, those that share most; more would tell little more."""
_ROWS = 4.0
"""How far the distance of two lanes may seem to change with the read-out that is assumed, pixels
of the detail pictures."""
_COARSE_TRIES, _FINE_TRIES, _FINE_REACH = 11, 7, 0.15
"""From all of the time between frames before mid read-out to as much after, then that part of it to
either side of the best."""
_NEARLY_BEST = 0.9
"""Of the best agreement; tries that come nearer have a say, the more the nearer."""
_SIGMA = 0.15
"""Of the time between frames: how far the read-out of a frame may be from how lanes shear. Seven
tries on simulated scans with a read-out across the lanes were 0.01 to 0.11 off."""
_CORES = 2
"""Threads that try read-outs; while the first lanes are laid out nothing else is to be done."""


def read_out_by_shear(
    trajectory: Trajectory,
    surfaces: Sequence[OffsetSurface],
    pitch: float,
    frame_shape: tuple[int, int],
    detail_of: DetailOf,
    reduction: int,
) -> tuple[float, float]:
    """Find the read-out time per row of frames whose rows lie along the lanes, s.

    Also its standard deviation.

    Parameters
    ----------
    trajectory
        Lanes, each from its own steps.
    surfaces
        How well each two neighbours agree without any read-out.
    pitch
        Distance between lanes, pixels of the detail pictures.
    frame_shape
        (rows, columns) of the camera's frames.
    reduction
        How much smaller the detail pictures are than those.
    """
    overlaps = _Overlaps.of(trajectory, surfaces, pitch, frame_shape, detail_of, reduction)
    rows_count = detail_of(int(trajectory.frames[0])).shape[0] * reduction
    limit_s = usual_interval_s(trajectory.times_s) / rows_count
    with ThreadPoolExecutor(_CORES, "read-out") as helpers:
        coarse = np.linspace(-1, 1, _COARSE_TRIES) * limit_s
        best = float(coarse[int(np.argmax(list(helpers.map(overlaps.agreement, coarse.tolist()))))])
        fine = best + np.linspace(-_FINE_REACH, _FINE_REACH, _FINE_TRIES) * limit_s
        scores = np.array(list(helpers.map(overlaps.agreement, fine.tolist())))
    weights = np.maximum(scores - _NEARLY_BEST * scores.max(), 0)
    return float(np.average(fine, weights=weights)), _SIGMA * limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overlaps:
    """What the pairs of lanes that share most show, and about where they lie to each other."""

    trajectory: Trajectory
    offsets: dict[int, tuple[float, float]]
    """(dy, dx) by the number of the upper lane, pixels of the detail pictures."""
    details: dict[int, Grey]
    """Detail pictures of their frames."""
    reduction: int
    half: float
    """Of the height of a frame across the lanes, pixels of the detail pictures."""
    farthest: float
    """To which two lanes may move against each other along x with another read-out."""

    @classmethod
    def of(
        cls,
        trajectory: Trajectory,
        surfaces: Sequence[OffsetSurface],
        pitch: float,
        frame_shape: tuple[int, int],
        detail_of: DetailOf,
        reduction: int,
    ) -> "_Overlaps":
        found = [surface.best(pitch, _ROWS) for surface in surfaces]
        richest = sorted(range(len(found)), key=lambda n: -found[n][3])[:_MOST_PAIRS]
        # Rows lie along the lanes, so read-out moves nothing out of the rows that two lanes share,
        # and moves the two against each other by less than a step.
        across = np.abs(trajectory.camera.turn) @ np.array(frame_shape)
        step = float(np.median(np.abs(np.diff(trajectory.positions[:, 1])))) / reduction
        frames = trajectory.frames[np.isin(trajectory.lanes, [(n, n + 1) for n in richest])]
        return cls(
            trajectory=trajectory,
            offsets={number: found[number][:2] for number in richest},
            details={frame: detail_of(frame) for frame in frames.tolist()},
            reduction=reduction,
            half=float(across[0]) / reduction / 2,
            farthest=step + _ROWS,
        )

    def agreement(self, readout_s_per_row: float) -> float:
        """How well the lanes agree if rows are read like that: log-likelihood gain."""
        camera = replace(self.trajectory.camera, readout_s_per_row=readout_s_per_row)
        layer = StripLayer(
            replace(self.trajectory, camera=camera), self.details.__getitem__, self.reduction
        )
        total = 0.0
        for number, (dy, dx) in self.offsets.items():
            upper = layer.lane(number, (dy - self.half - _ROWS, np.inf))
            lower = layer.lane(number + 1, (-np.inf, self.half - dy + _ROWS))
            surface = compare_near(
                upper, lower, scoring(upper), around=(dy, dx), reach=(_ROWS, self.farthest)
            )
            total += surface.best(dy, _ROWS)[3]
        return total

"""What one look at each frame tells: how far the picture moved, what lamp and sensor add to it."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter

from blurryscope.artifacts.video import Frame
from blurryscope.basics.image import Grey
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.stitch.features import absorbance_detail, log_of, shrunk
from blurryscope.stitch.held_frames import FilmAgain, HeldFrames, let_go
from blurryscope.stitch.motion import NOTHING_SEEN, OverlapCorrelator, PairShift
from blurryscope.stitch.repeats import without_repeats
from blurryscope.stitch.second_scan import SecondScanWatch
from blurryscope.stitch.shading import glass_shading, lasting_shading, luma_of
from blurryscope.stitch.trajectory import usual_interval_s

_THINNED = 8
"""One row in so many tells whether a frame only repeats the one before."""
_FIRST_SHADING = 64
"""Frames after which the shading is estimated first, and again when there are thrice as many."""
_MOST_SHADING_SAMPLES = 200
_COLOUR_SAMPLES = 120
_NEW_CHANGE, _MOVING_QUANTILE = 0.25, 0.75
"""Of the change from frame to frame that a moving stage gives, and where that is found among all:
lanes take more than half of a scan, and much of it over glass changes by noise alone."""
_GLASS_BRIGHTNESS, _BRIGHTEST = 0.995, 95
"""Of what the brightest frames around give, a percentile: glass may be seen again and again."""
_LONGEST_STILL = 60
"""Frames without change in a row: more tell nothing more, and as many around are looked at."""
_LEAST_MOVED = 16
_MOST_FINE_BYTES = 64e6
"""Of detail pictures for exact links: two lanes of a hundred frames."""
_STRETCH = 32
"""Frames in a row that one thread looks at again."""
_LEAST_STEP_FRACTION = 0.025
"""Of a coarse picture's short side: pairs that moved by less say nothing of the direction."""
_SIGMA_FRACTION = 1 / 20
"""Of a picture's short side: slower change across it is taken for illumination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmUntilNow:
    """What a film had shown at one moment, for a thread that works while more of it is shown."""

    times_s: NDArray[np.float64]
    shifts: Sequence[PairShift]
    frame_shape: tuple[int, int]
    coarse_reduction: int
    fine_reduction: int
    coarse: Callable[[int], Grey]
    """Detail picture for the first look, by frame."""
    fine: Callable[[int], Grey]
    """Detail picture for exact links, by frame."""


class Tracker:
    """Push the frames of a scan in order; frames that are done with are to be forgotten.

    Parameters
    ----------
    coarse_short_side_px, fine_short_side_px
        Frames are shrunk to about this for the first look at the motion, and for exact links.
    watches
        Whether to watch for a second scan of the same slide.
    again
        Reads frames once more; without it they are kept as they are. Nothing else hangs on it.
    """

    def __init__(
        self,
        coarse_short_side_px: int,
        fine_short_side_px: int,
        *,
        watches: bool = True,
        again: FilmAgain | None = None,
    ) -> None:
        self._sides_px = (coarse_short_side_px, fine_short_side_px)
        self._held = HeldFrames(again)
        self._small: dict[int, NDArray[np.uint8]] = {}
        self._coarse: dict[int, Grey] = {}
        self._fine: dict[int, Grey] = {}
        self._times_s: list[float] = []
        self._changes: list[float] = []
        self._last_thinned: NDArray[np.uint8] | None = None
        self._shading: Grey | None = None
        self._log_shading: Grey | None = None
        self._log_fine_shading: Grey | None = None
        self._correlator: OverlapCorrelator | None = None
        self._next_shading = _FIRST_SHADING
        self._watches = watches
        self._watch = SecondScanWatch()
        self._later_times_s: list[float] = []
        self._is_over = False
        self.second_scan_lag: int | None = None
        """Frames by which a second scan of the slide lags behind the first, once it is seen."""
        self.shifts: list[PairShift] = []
        self.frame_shape = (0, 0)

    @property
    def count(self) -> int:
        """Frames pushed so far, those after `end_at` left out."""
        return len(self._times_s)

    @property
    def held_bytes(self) -> float:
        """About what the frames that are not forgotten take; three bytes for two pixels (4:2:0).

        Told as if they were kept as they are, so that nothing hangs on whether they are.
        """
        rows, columns = self.frame_shape
        return 1.5 * rows * columns * len(self._small)

    @property
    def coarse_reduction(self) -> int:
        return reduction_for(self.frame_shape, self._sides_px[0])

    @property
    def fine_reduction(self) -> int:
        return reduction_for(self.frame_shape, self._sides_px[1])

    @property
    def least_step_px(self) -> float:
        """Shortest step from frame to frame that tells a direction, camera pixels."""
        return _LEAST_STEP_FRACTION * self._sides_px[0] * self.coarse_reduction

    @property
    def interval_s(self) -> float:
        """Usual time between frames."""
        return usual_interval_s(np.array(self._times_s))

    @property
    def filmed_s(self) -> NDArray[np.float64]:
        """Times of all frames as the film has them, also of those after `end_at`."""
        return np.array([*self._times_s, *self._later_times_s])

    @property
    def times_s(self) -> NDArray[np.float64]:
        """When each frame's picture was taken; a repeated frame has the time of the one before."""
        return self._without_repeats()[0]

    @property
    def repeated(self) -> tuple[int, ...]:
        """Frames that only repeat the one before."""
        return self._without_repeats()[1]

    def push(self, frame: Frame) -> None:
        """Take the next frame; it counts until it is forgotten, after `end_at` only its time."""
        if self._is_over:
            self._later_times_s.append(frame.time_s)
            return
        luma = frame.luma()
        thinned = luma[::_THINNED].copy()
        if self._last_thinned is None:
            self.frame_shape = (luma.shape[0], luma.shape[1])
        else:
            self._changes.append(cv2.norm(thinned, self._last_thinned, cv2.NORM_L1) / thinned.size)
        self._last_thinned = thinned
        index = self.count
        self._times_s.append(frame.time_s)
        self._held.add(index, frame, self.fine_reduction)
        self._small[index] = shrunk(luma, self.coarse_reduction)
        if self._next_shading and self.count >= self._next_shading:
            self._next_shading *= 3
            is_first = self._shading is None
            self._estimate_shading()
            self._look_again_from(0 if is_first else index)
        elif self._shading is not None:
            self._correlate(index)

    def _without_repeats(self) -> tuple[NDArray[np.float64], tuple[int, ...]]:
        unseen = [NOTHING_SEEN] * (len(self._changes) - len(self.shifts))
        times_s, changes = np.array(self._times_s), np.array(self._changes)
        return without_repeats(times_s, changes, [*self.shifts, *unseen])

    def _estimate_shading(self) -> None:
        """Estimate the shading anew from the frames held."""
        samples = self._samples(list(self._small), _MOST_SHADING_SAMPLES)
        self._shading = lasting_shading(
            np.stack([light * self._small[frame] for frame, light in samples])
        )
        self._log_shading = log_of(self._shading)
        self._coarse.clear()

    def _look_again_from(self, index: int) -> None:
        """Compare the frames held from one on, with the shading as it is now."""
        if index == 0:
            self._watch = SecondScanWatch()
        first = max(min(self._small), index - 1)
        del self.shifts[first:]
        self._note(first, None)
        # Nothing else is to be done meanwhile.
        begins = range(first + 1, self.count, _STRETCH)
        stretches = [range(begin, min(begin + _STRETCH, self.count)) for begin in begins]
        compared = chain.from_iterable(side_by_side(self._compared, stretches))
        for frame, shift in zip(range(first + 1, self.count), compared, strict=True):
            self._note(frame, shift)
        self._compare_next_with(self.count - 1)

    def _compared(self, frames: range) -> list[PairShift | None]:
        """How frames in a row each lie to the one before."""
        correlator = OverlapCorrelator(self._small[frames.start].shape)
        correlator.push(self.coarse(frames.start - 1))
        return [correlator.push(self.coarse(frame)) for frame in frames]

    def _compare_next_with(self, index: int) -> None:
        self._correlator = OverlapCorrelator(self._small[index].shape)
        self._correlator.push(self.coarse(index))

    def until_now(self) -> FilmUntilNow:
        """What is known now. Frames must not be forgotten while it is in use."""
        return FilmUntilNow(
            times_s=self.times_s,
            shifts=tuple(self.shifts),
            frame_shape=self.frame_shape,
            coarse_reduction=self.coarse_reduction,
            fine_reduction=self.fine_reduction,
            coarse=self.coarse,
            fine=self.fine,
        )

    def settle(self) -> NDArray[np.float32]:
        """Fix the shading for the rest of the film; gives it in colour, (row, col, rgb)."""
        self._estimate_shading()
        self._next_shading = 0
        with ThreadPoolExecutor(1, "shading") as helper:
            in_colour = helper.submit(self._colour_shading)
            self._look_again_from(0)
            colour = in_colour.result()
        small = shrunk(luma_of(colour), self.fine_reduction)
        self._log_fine_shading = log_of(small.astype(np.float32))
        self._fine.clear()
        return colour

    def coarse(self, frame: int) -> Grey:
        """Detail picture for the first look."""
        if frame not in self._coarse:
            shading = self._log_shading
            if shading is None:
                raise ValueError("there is no detail before the shading is known")
            sigma_px = self._sides_px[0] * _SIGMA_FRACTION
            self._coarse[frame] = absorbance_detail(self._small[frame], shading, sigma_px)
        return self._coarse[frame]

    def fine(self, frame: int) -> Grey:
        """Detail picture for exact links; the shading must be settled.

        Those of the last lane or so are held, since the next lane is matched with it.
        """
        if frame in self._fine:
            return self._fine[frame]
        shading = self._log_fine_shading
        if shading is None:
            raise ValueError("there is no fine detail before the shading is settled")
        small = self._held.fine(frame, self.fine_reduction)
        detail = absorbance_detail(small, shading, self._sides_px[1] * _SIGMA_FRACTION)
        self._fine[frame] = detail
        if detail.nbytes * len(self._fine) > _MOST_FINE_BYTES:
            del self._fine[next(iter(self._fine))]
        return detail

    def frames(self, indices: Sequence[int]) -> Sequence[Frame]:
        """Frames that are not forgotten; their numbers rise."""
        return self._held.whole(indices)

    def end_at(self, count: int) -> None:
        """Leave it at the first `count` frames; those to come count no more either."""
        self._is_over = True
        self._later_times_s = self._times_s[count:]
        del self._times_s[count:]
        del self._changes[max(count - 1, 0) :]
        del self.shifts[max(count - 1, 0) :]
        self._keep(range(count))

    def forget(self, before: int) -> None:
        """Let go of all frames before an index."""
        self._keep(range(before, self.count))

    def forget_beyond(self, most_bytes: float) -> None:
        """Let go of the oldest frames, so that those held take about so much at most."""
        if self.held_bytes > most_bytes:
            kept = math.floor(len(self._small) * most_bytes / self.held_bytes)
            self.forget(self.count - kept)

    @property
    def oldest(self) -> int:
        """The first frame that is not forgotten."""
        return next(iter(self._small), self.count)

    def _keep(self, frames: range) -> None:
        self._held.keep(frames)
        for pictures in (self._small, self._coarse, self._fine):
            let_go(pictures, frames)

    def _samples(self, held: Sequence[int], count: int) -> list[tuple[int, np.float32]]:
        """About `count` of the frames held, evenly, and none that shows tissue at rest.

        The same tissue seen again and again would pass for the sensor's own. With each frame comes
        the factor to one exposure of all.
        """
        changes = np.array([0.0, *self._changes])[list(held)]
        is_new = changes > _NEW_CHANGE * np.quantile(changes, _MOVING_QUANTILE)
        frames, is_new = _without_long_stills(np.array(held), is_new)
        brightness = np.array([cv2.mean(self._small[frame])[0] for frame in frames.tolist()])
        # Exposure may jump, so glass is the brightest of its time only.
        brightest = percentile_filter(brightness, _BRIGHTEST, 2 * _LONGEST_STILL, mode="nearest")
        light = np.median(brightest) / np.maximum(brightest, 1)
        is_fit = is_new | (brightness > _GLASS_BRIGHTNESS * brightest)
        if is_fit.sum() < _LEAST_MOVED:
            is_fit[:] = True
        samples = list(zip(frames[is_fit].tolist(), light[is_fit].astype(np.float32), strict=True))
        return samples[:: max(len(samples) // count, 1)]

    def _correlate(self, index: int) -> None:
        if self._correlator is None:
            raise ValueError("there is no correlation before the shading is known")
        self._note(index, self._correlator.push(self.coarse(index)))

    def _note(self, index: int, shift: PairShift | None) -> None:
        """Note how a frame lies to the one before, in pixels of the small pictures."""
        if shift is not None:
            self.shifts.append(shift.enlarged(self.coarse_reduction))
        if self._watches and self.second_scan_lag is None:
            self.second_scan_lag = self._watch.push(index, self.coarse(index), shift)

    def _colour_shading(self) -> NDArray[np.float32]:
        """What the lamp and the sensor make of empty glass, in colour."""
        if self._shading is None:
            raise ValueError("the shading in colour needs that of the small pictures first")
        samples = self._samples(sorted(self._small), _COLOUR_SAMPLES)
        frames = self._held.whole([index for index, _ in samples])
        small = [self._small[index] for index, _ in samples]
        light = [factor for _, factor in samples]
        return glass_shading(list(zip(frames, small, light, strict=True)), self._shading)


def _without_long_stills(
    frames: NDArray[np.int64], is_new: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Leave out what comes after the first frames of a long row of them that do not change."""
    place = np.arange(len(frames))
    since_new = place - np.maximum.accumulate(np.where(is_new, place, 0))
    is_kept = since_new < _LONGEST_STILL
    return frames[is_kept], is_new[is_kept]


def reduction_for(shape: tuple[int, int], short_side_px: int) -> int:
    """How many times smaller frames are made, so that their short side is about so long."""
    return max(round(min(shape) / short_side_px), 1)

"""The stitcher: takes a film frame by frame, and hands out lane after lane, placed for good."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame
from blurryscope.basics.errors import InputError
from blurryscope.stitch.film_so_far import motion_of
from blurryscope.stitch.held_frames import FilmAgain
from blurryscope.stitch.lane_finder import (
    LaneFinder,
    settled,
    until_the_last_seen,
    with_those_told,
)
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.placed_lane import PlacedLane
from blurryscope.stitch.placing import Placer, PlacingSettings
from blurryscope.stitch.shading import gain_of
from blurryscope.stitch.stage_so_far import StageSettings
from blurryscope.stitch.steps import usual_steps
from blurryscope.stitch.stitched import Stitched
from blurryscope.stitch.tracker import FilmUntilNow, Tracker

_LEAST_FRAMES = 10
_FIRST_TRY = 150
"""Frames before the first attempt to lay lanes out, and how much longer each next one waits."""
_LATER_TRY = 1.25
_MUCH_LATER_TRY = 2.0
_SETTLE_AGAIN = 2
"""Times as many frames make it worth while to estimate the shading anew."""
_RIM_SIGMA_PX = 0.6
"""How certain the camera must be before any lane is placed for good, at the rim of a frame: to wait
for 0.5 brought 15 films of real tissue no nearer to the truth, but for one (1.4 to 1.2 px)."""
_NEARLY_SURE = _LATER_TRY**0.5
"""Times that uncertain is certain enough: another try gains no more, and takes half a second."""
_MOST_HELD_BYTES = 450e6
"""Of frames that wait for the first lanes to be placed; beyond that a less certain camera does."""
_FULL_DOUBT = 3.0
"""Times as uncertain; it is known better than that from four lanes of tissue on."""
_SURE = 0.5
"""Correlation from which a pair was seen to move."""
_LAG_SLACK = 3
"""Frames by which the lag of a second scan may be wrong."""
_MOST_OFF_TOLD = 0.15
"""Part of the told speed; a right record and a film that can be stitched agree to 2 %."""
_FRAMES_LATE_S = 0.15
"""By which the last frames of a lane are there: less than a stage rests after it."""
_LONGEST_STEP = 0.85
"""Of the field, from frame to frame; what two frames share beyond that is mostly motion blur."""
_EARLY_LINKS = 2
"""Pairs of lanes that must be seen to overlap before any lane is placed for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchSettings:
    """What is known of the scan beforehand; everything else is measured."""

    rest_s: float = 1.1
    """Standing still between lanes: two rests of 0.5 s as in the paper, and the step across."""
    ramp_s: float = 0.1
    """Time to gain full speed; only matters over blank glass."""
    exposure_s: float = 0.0078
    """Of a frame, as in the paper; only matters where the stage is slower than usual."""
    lane_starts_s: tuple[float, ...] = ()
    """When the stage set off on lanes, on the film's clock, as far as it told."""
    skew_deg: float = 0.0
    """How far the stage's axes are from a right angle: the angle from x to y, less 90 degrees."""
    told_speed_px_per_s: float | None = None
    """Full speed by the calibration, pixels of the camera."""
    coarse_short_side_px: int = 120
    """Frames are shrunk to about this for the first look at the motion."""
    fine_short_side_px: int = 240
    """And to about this for exact links; motion blur leaves little more."""
    search_px: tuple[int, int] = (10, 20)
    """(y, x) search for exact links, in fine pixels: what the first layout may be off by."""
    ends_at_second_scan: bool = True
    """Whether to stop where the film begins to show the same slide again."""


class Stitcher:
    """Push the frames of a scan in order, then `finish`; both hand out lanes placed for good.

    Opens in `with`. Holds the frames of the lanes that are not placed yet: two or three once the
    camera has been measured from the first few lanes. Later lanes are placed by a second thread
    while the next one is looked at; what comes out does not depend on which is faster.

    Parameters
    ----------
    where
        Name of the film, for messages.
    again
        Reads frames of the film once more. Where it is given, frames are not held, and lanes bring
        their numbers alone.
    """

    def __init__(
        self, where: object, settings: StitchSettings | None = None, again: FilmAgain | None = None
    ) -> None:
        self._where = where
        settings = settings or StitchSettings()
        self._tracker = Tracker(
            settings.coarse_short_side_px,
            settings.fine_short_side_px,
            watches=settings.ends_at_second_scan,
            again=again,
        )
        self._brings_frames = again is None
        self._least_step_px = 0.025 * settings.coarse_short_side_px
        self._finder = LaneFinder()
        self._rest_s = settings.rest_s + settings.ramp_s
        self._placer = Placer(
            PlacingSettings(
                stage=StageSettings(
                    rest_s=settings.rest_s,
                    ramp_s=settings.ramp_s,
                    skew_deg=settings.skew_deg,
                    told_speed_px_per_s=settings.told_speed_px_per_s,
                ),
                exposure_s=settings.exposure_s,
                search_px=settings.search_px,
            )
        )
        self._starts_s = list(settings.lane_starts_s)
        self._handed_on = 0
        """So many of those have been handed on to who places lanes."""
        self._ends_s = deque(sorted(settings.lane_starts_s))
        """Times to come at which a lane is over: the next begins, or the stage came to its end."""
        self._told_over = 0
        """Frame at the last of those that has passed."""
        self._now_s = 0.0
        self._told_speed_px_per_s = settings.told_speed_px_per_s
        self._is_started = False
        self.is_over = False
        """Whether no more lanes will come than those handed out."""
        self._next_try = float(_FIRST_TRY)
        self._was_full = False
        self._settled_count = 0
        self._shading = np.ones((1, 1, 3), np.float32)
        self._glass = np.ones(3)
        self._second_scan_s: float | None = None

    def __enter__(self) -> Self:
        self._helper = ThreadPoolExecutor(1, "place")
        self._under_way: Future[None] | None = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._helper.shutdown(cancel_futures=True)

    @property
    def gain(self) -> NDArray[np.float32]:
        """Flat-field factor, (row, col, rgb); known when the first lane is handed out."""
        return gain_of(self._shading)

    @property
    def glass(self) -> NDArray[np.float64]:
        """What empty glass looks like after the flat field, (3,) grey levels."""
        return self._glass

    @property
    def pitch_px(self) -> float:
        """Distance between lanes; known when the first lane is handed out."""
        return self._placer.stage.pitch_px

    @property
    def speed_px_per_s(self) -> float:
        """Speed of the stage along the lanes; known when the first lane is handed out."""
        return self._placer.stage.speed_px_per_s

    def push(self, frame: Frame) -> list[PlacedLane]:
        """Take the next frame; hands out the lanes that have become certain."""
        tracker = self._tracker
        tracker.push(frame)
        self._note_end(frame.time_s)
        if self._second_scan_s is not None:
            return []
        placed: list[PlacedLane] = []
        if tracker.second_scan_lag is not None:
            placed = self._added()
            self._end_before_second_scan(tracker.second_scan_lag)
        if self._is_started:
            new = self._finder.closed(tracker.shifts, tracker.count, self._told_over)
            if new or (self._under_way is not None and self._under_way.done()):
                placed += self._added()
            if new:
                self._begin_to_add(new)
            return placed
        return placed + self._until_started()

    def set_off(self, time_s: float) -> None:
        """Take from the stage when it set off on the lane that it has come to the end of just now.

        On the film's clock, whose last frame may be a little late.
        """
        self._starts_s.append(time_s)
        self._ends_s.append(self._now_s + _FRAMES_LATE_S)

    def finish(self) -> Iterator[list[PlacedLane]]:
        """Hand out the lanes that are left, some while others are still being placed.

        An `InputError` says why a film cannot be stitched.
        """
        tracker = self._tracker
        if tracker.count < _LEAST_FRAMES:
            raise InputError(
                self._where,
                f"holds {tracker.count} frames, too few for a scan",
                "Give the film of a whole scan",
            )
        if self._is_started:
            placed = self._added()
            self._begin_to_add(self._until_the_end(self._finder.rest(tracker.shifts)))
            yield placed
            self._wait()
        else:
            self._start(self._all_lanes())
        self._refuse_another_speed()
        self.is_over = True
        yield self._handed_out(range(self._placer.fixed_count, len(self._placer.lanes)))

    def result(self) -> Stitched:
        """What was found, after `finish`."""
        placer, tracker = self._placer, self._tracker
        solution, links = placer.solution()
        return Stitched(
            frame_shape=tracker.frame_shape,
            times_s=tracker.filmed_s,
            repeated=tracker.repeated,
            lanes=tuple(placer.lanes),
            table=placer.stage.table,
            solution=solution,
            links=links,
            pitch_px=placer.stage.pitch_px,
            speed_px_per_s=placer.stage.speed_px_per_s,
            is_lane_linked=np.array(placer.is_linked, np.bool_),
            gain=self.gain,
            second_scan_from_s=self._second_scan_s,
        )

    def _note_end(self, time_s: float) -> None:
        """Note at which frame a lane is over, by what the stage told."""
        self._now_s = time_s
        while self._ends_s and self._ends_s[0] <= time_s:
            self._ends_s.popleft()
            self._told_over = self._tracker.count

    def _until_started(self) -> list[PlacedLane]:
        """Try from time to time to lay the first lanes out; hands them out when that succeeds."""
        tracker = self._tracker
        placed: list[PlacedLane] = []
        if tracker.held_bytes >= _MOST_HELD_BYTES and not self._was_full:
            # Large frames: look whether lanes have begun before any frame is let go.
            self._was_full, self._next_try = True, tracker.count
        if tracker.count >= self._next_try:
            self._next_try *= _LATER_TRY
            placed = self._tried()
        if self._finder.axis is None:
            # The stage has not set off yet, or scans glass that no core lies beside.
            tracker.forget_beyond(_MOST_HELD_BYTES)
        return placed

    def _tried(self) -> list[PlacedLane]:
        """Lay the first lanes out if enough of them have been seen side by side."""
        tracker = self._tracker
        if not tracker.shifts:
            return []
        lanes = self._first_lanes()
        if tracker.count >= _SETTLE_AGAIN * self._settled_count and self._has_enough(lanes):
            self._settle()
            lanes = self._first_lanes()
        if not self._has_enough(lanes):
            return []
        lanes = settled(lanes[:-1])
        if not self._is_laid_out(lanes, _EARLY_LINKS):
            return []
        doubt = self._placer.rim_sigma_px(tracker.frame_shape) / _RIM_SIGMA_PX
        is_full = tracker.held_bytes >= _MOST_HELD_BYTES
        if doubt > (_FULL_DOUBT if is_full else _NEARLY_SURE):
            # Certainty grows with the root of what has been seen.
            growth = float(np.clip(doubt**2, _LATER_TRY, _MUCH_LATER_TRY))
            room = 1.0 if is_full else _MOST_HELD_BYTES / tracker.held_bytes
            self._next_try = tracker.count * max(min(growth, room), _LATER_TRY)
            return []
        self._begin()
        self._finder.goes_on_after(lanes[-1])
        return self._handed_out(self._placer.fixable())

    def _end_before_second_scan(self, lag: int) -> None:
        """Go on as if the film ended where it begins to show the slide again."""
        tracker = self._tracker
        seen = [
            index
            for index, shift in enumerate(tracker.shifts)
            if shift.correlation > _SURE and np.hypot(shift.row_px, shift.col_px) > self._least_px
        ]
        # Before anything moves in the second scan, as long before as in the first, it rests.
        begun = lag + (seen[0] if seen else 0) - _LAG_SLACK
        last_of_first = max((index for index in seen if index < begun), default=0)
        end = max(lag, last_of_first + 2)
        if self._is_started:
            end = max(end, self._placer.end_before(end))
        self._second_scan_s = float(tracker.filmed_s[min(end, tracker.count - 1)])
        tracker.end_at(end)

    def _has_enough(self, lanes: list[Lane]) -> bool:
        # The last lane may still be running.
        return self._finder.enough(lanes[:-1], _EARLY_LINKS)

    @property
    def _least_px(self) -> float:
        """Pairs that moved by less say nothing of the direction."""
        return self._least_step_px * self._tracker.coarse_reduction

    def _settle(self) -> None:
        """Estimate the shading from all frames so far; all pictures of detail change with it."""
        self._shading = self._tracker.settle()
        self._glass = np.asarray(self._shading.mean(axis=(0, 1)), np.float64)
        self._settled_count = self._tracker.count
        self._placer.forget_pairs()

    def _first_lanes(self) -> list[Lane]:
        tracker = self._tracker
        lanes = self._finder.first(
            tracker.shifts,
            self._least_px,
            self._rest_s / tracker.interval_s,
        )
        if lanes:
            lanes = with_those_told(lanes, self._starts_s, tracker.times_s)
        return [lane for lane in lanes if lane.first >= tracker.oldest]

    def _until_the_end(self, lanes: list[Lane]) -> list[Lane]:
        """The last lanes, and the one that the film cuts off, unless its end is known."""
        knows_end = bool(self._starts_s) or self._second_scan_s is not None
        return lanes if knows_end else self._finder.with_one_cut_off(lanes, self._tracker.count)

    def _all_lanes(self) -> list[Lane]:
        self._settle()
        lag = self._tracker.second_scan_lag
        if lag is not None and self._second_scan_s is None:
            self._end_before_second_scan(lag)
        lanes = self._until_the_end(until_the_last_seen(self._first_lanes()))
        if self._finder.axis is None:
            raise InputError(
                self._where,
                "nothing is seen to move: the stage stood still, or the field is empty glass",
                "Check that the stage moved and that the slide carries tissue where it was scanned",
            )
        if len(lanes) < 2:
            raise InputError(
                self._where,
                "only one lane was found, or movement in one direction only",
                "Give the film of a zigzag of at least two lanes in opposite directions",
            )
        return lanes

    def _start(self, lanes: list[Lane]) -> None:
        if not self._is_laid_out(lanes, least_links=1):
            self._refuse_long_steps()
            self._refuse_steps_one_way(lanes)
            raise InputError(
                self._where,
                "neighbouring lanes show no common tissue, so they cannot be joined",
                "Scan with a smaller lane pitch, or check that the slide carries tissue",
            )
        self._begin()

    def _begin(self) -> None:
        """Take the first lanes for good, as they are laid out now."""
        self._is_started = True
        self._placer.look_again(self._tracker.until_now())
        self._placer.forget_pairs()

    def _is_laid_out(self, lanes: list[Lane], least_links: int) -> bool:
        self._tell_starts()
        longest_rest_s = self._finder.rest_frames * self._tracker.interval_s
        return self._placer.start(self._tracker.until_now(), lanes, least_links, longest_rest_s)

    def _refuse_long_steps(self) -> None:
        """Raise where, by what the rig told, frames of a lane hardly overlap each other."""
        told, axis = self._told_speed_px_per_s, self._finder.axis
        if told is None or axis is None:
            return
        step_px = told * self._tracker.interval_s
        field_px = min(
            side / max(abs(part), 1e-9)
            for side, part in zip(self._tracker.frame_shape, axis.tolist(), strict=True)
        )
        if step_px > _LONGEST_STEP * field_px:
            raise InputError(
                self._where,
                f"frames of a lane hardly overlap: by its recording.json the stage goes "
                f"{step_px:.0f} pixels from frame to frame, and the field is {field_px:.0f} long",
                "Scan with more frames a second, or slower",
            )

    def _refuse_steps_one_way(self, lanes: list[Lane]) -> None:
        """Raise where in the lanes of one direction frames do not overlap each other at all."""
        if usual_steps(motion_of(self._tracker.until_now(), lanes)) is None:
            raise InputError(
                self._where,
                "frames of the lanes in one direction share no tissue with the next, so nothing "
                "tells where they lie; read-out along the lanes makes the steps of one direction "
                "longer than those of the other",
                "Scan with more frames a second, or slower, or turn the camera by a quarter",
            )

    def _refuse_another_speed(self) -> None:
        """Raise where the film shows another speed than the rig told: then links are chance."""
        told, seen = self._told_speed_px_per_s, self.speed_px_per_s
        if told is not None and abs(seen / told - 1) > _MOST_OFF_TOLD:
            raise InputError(
                self._where,
                f"shows the stage at {seen:.0f} pixels a second, but by its recording.json it ran "
                f"at {told:.0f}: frames that hardly overlap tell nothing",
                "Scan with more frames a second, or slower; if the record is of another lens, "
                "correct its pixel_size_um",
            )

    def _begin_to_add(self, lanes: list[Lane]) -> None:
        self._tell_starts()
        self._under_way = self._helper.submit(self._add_all, self._tracker.until_now(), lanes)

    def _added(self) -> list[PlacedLane]:
        """Wait for the lanes that are being placed; hands out what has become certain by them."""
        if self._under_way is None:
            return []
        self._wait()
        return self._handed_out(self._placer.fixable())

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
        self._under_way = None

    def _add_all(self, film: FilmUntilNow, lanes: list[Lane]) -> None:
        # Nothing is left of a lane where the film was ended before a second scan.
        self._placer.add(film, [lane for lane in lanes if lane.last > self._placer.lanes[-1].last])

    def _tell_starts(self) -> None:
        """Hand on what the stage told, while no lane is being placed."""
        for start_s in self._starts_s[self._handed_on :]:
            self._placer.stage.set_off(start_s)
        self._handed_on = len(self._starts_s)

    def _handed_out(self, numbers: range) -> list[PlacedLane]:
        if not numbers:
            return []
        repeated = self._tracker.repeated
        placed = [self._placed(number, repeated) for number in numbers]
        self._placer.fixed_count = numbers.stop
        self._tracker.forget(self._placer.lanes[numbers[-1]].last + 1)
        return placed

    def _placed(self, number: int, repeated: Sequence[int]) -> PlacedLane:
        part = self._placer.lane(number)
        is_new = ~np.isin(part.frames, repeated)
        indices = tuple(part.frames[is_new].tolist())
        return PlacedLane(
            number=number,
            indices=indices,
            frames=self._tracker.frames(indices) if self._brings_frames else (),
            positions=part.positions[is_new],
            matrices=part.matrices[is_new],
            frame_shape=self._tracker.frame_shape,
            is_sure=np.isin(part.frames[is_new], self._placer.linked_frames(number)),
        )

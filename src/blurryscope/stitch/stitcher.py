"""The stitcher: takes a film frame by frame, and hands out lane after lane, placed for good."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.video import Frame
from blurryscope.stitch.film_so_far import motion_of
from blurryscope.stitch.first_lanes import FirstLanes
from blurryscope.stitch.held_frames import FilmAgain
from blurryscope.stitch.lane_finder import LaneFinder, until_the_last_seen
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.placed_lane import PlacedLane
from blurryscope.stitch.placing import Placer, PlacingSettings
from blurryscope.stitch.refusals import (
    refuse_another_speed,
    refuse_few_frames,
    refuse_no_zigzag,
    refuse_unlinked,
)
from blurryscope.stitch.second_scan import first_scan_end
from blurryscope.stitch.shading import gain_of
from blurryscope.stitch.stage_so_far import StageSettings
from blurryscope.stitch.stitched import Stitched
from blurryscope.stitch.told_starts import ToldStarts
from blurryscope.stitch.tracker import FilmUntilNow, Tracker


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
        self._finder = LaneFinder()
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
        self._told = ToldStarts(settings.lane_starts_s)
        self._told_speed_px_per_s = settings.told_speed_px_per_s
        self._first_lanes = FirstLanes(
            self._tracker,
            self._finder,
            self._placer,
            self._told,
            rest_s=settings.rest_s + settings.ramp_s,
        )
        self.is_over = False
        """Whether no more lanes will come than those handed out."""
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
        return gain_of(self._first_lanes.shading)

    @property
    def glass(self) -> NDArray[np.float64]:
        """What empty glass looks like after the flat field, (3,) grey levels."""
        return np.asarray(self._first_lanes.shading.mean(axis=(0, 1)), np.float64)

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
        self._told.note_frame(frame.time_s, tracker.count)
        if self._second_scan_s is not None:
            return []
        placed: list[PlacedLane] = []
        if tracker.second_scan_lag is not None:
            placed = self._added()
            self._end_before_second_scan(tracker.second_scan_lag)
        if self._first_lanes.are_placed:
            new = self._finder.closed(tracker.shifts, tracker.count, self._told.over)
            if new or (self._under_way is not None and self._under_way.done()):
                placed += self._added()
            if new:
                self._begin_to_add(new)
            return placed
        if self._first_lanes.try_to_place():
            placed += self._handed_out(self._placer.fixable())
        return placed

    def set_off(self, time_s: float) -> None:
        """Take from the stage when it set off on the lane that it has come to the end of just now.

        On the film's clock, whose last frame may be a little late.
        """
        self._told.set_off(time_s)

    def finish(self) -> Iterator[list[PlacedLane]]:
        """Hand out the lanes that are left, some while others are still being placed.

        An `InputError` says why a film cannot be stitched.
        """
        tracker = self._tracker
        refuse_few_frames(self._where, tracker.count)
        if self._first_lanes.are_placed:
            placed = self._added()
            self._begin_to_add(self._until_the_end(self._finder.rest(tracker.shifts)))
            yield placed
            self._wait()
        else:
            self._place_all()
        refuse_another_speed(self._where, self.speed_px_per_s, self._told_speed_px_per_s)
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

    def _end_before_second_scan(self, lag: int) -> None:
        """Go on as if the film ended where it begins to show the slide again."""
        tracker = self._tracker
        end = first_scan_end(tracker.shifts, lag, tracker.least_step_px)
        if self._first_lanes.are_placed:
            end = max(end, self._placer.end_before(end))
        self._second_scan_s = float(tracker.filmed_s[min(end, tracker.count - 1)])
        tracker.end_at(end)

    def _until_the_end(self, lanes: list[Lane]) -> list[Lane]:
        """The last lanes, and the one that the film cuts off, unless its end is known."""
        knows_end = bool(self._told.starts_s) or self._second_scan_s is not None
        return lanes if knows_end else self._finder.with_one_cut_off(lanes, self._tracker.count)

    def _place_all(self) -> None:
        """Place all lanes of a film that has ended before the first ones were certain."""
        first, tracker = self._first_lanes, self._tracker
        first.settle()
        lag = tracker.second_scan_lag
        if lag is not None and self._second_scan_s is None:
            self._end_before_second_scan(lag)
        lanes = self._until_the_end(until_the_last_seen(first.found()))
        refuse_no_zigzag(self._where, self._finder.axis, lanes)
        if not first.lay_out(lanes, least_links=1):
            told = self._told_speed_px_per_s
            refuse_unlinked(
                self._where,
                motion_of(tracker.until_now(), lanes),
                self._finder.axis,
                told_step_px=None if told is None else told * tracker.interval_s,
            )
        first.take()

    def _begin_to_add(self, lanes: list[Lane]) -> None:
        self._told.hand_on(self._placer.stage)
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

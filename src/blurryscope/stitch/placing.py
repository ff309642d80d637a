"""Places lane after lane while the film still runs; what has been handed on stays where it is.

The first lanes are laid out together, since the camera's mounting and read-out have to be measured
from several lanes at once. After that every new lane is put beside the one before and solved
together with the few lanes that are not fixed yet, against the last one that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.ahead import ahead
from blurryscope.stitch.camera import CameraModel, rim_sigma_px
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.film_so_far import FilmSoFar, motion_of
from blurryscope.stitch.lane_links import LaneLinks, links_within
from blurryscope.stitch.lane_speed import agreed_speed, linked_speeds, perfect_speed
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.layout import FirstLayout, coarse_link_sigma_px, lane_beside, lay_out
from blurryscope.stitch.links import Link, Links, gathered
from blurryscope.stitch.matching import MatchedPairs, PatchSettings
from blurryscope.stitch.miscounts import lost_way_px, miscounts
from blurryscope.stitch.pauses import blank_runs, is_next, pauses_among
from blurryscope.stitch.refine import measure_links, with_coarse
from blurryscope.stitch.retimed import retimed
from blurryscope.stitch.run_links import run_links
from blurryscope.stitch.solve import Solution, judged, solve
from blurryscope.stitch.steps import Motion, UsualSteps, lanes_apart, seen_steps, step_links
from blurryscope.stitch.strays import Ways, likeliest_ways
from blurryscope.stitch.ties import held_frames, tied_lanes
from blurryscope.stitch.trajectory import Trajectory, lane_rows
from blurryscope.stitch.turning_points import StageHabits
from blurryscope.stitch.turns import (
    Timetable,
    expected_motion,
    never_backwards,
    timed_lanes,
    timetable,
)
from blurryscope.stitch.uneven import with_uneven_speeds

_YOUNG_GROUP = 3
"""Lanes that hang together but on nothing before lie where two turns of the stage say, not one."""
_COARSE_ROUNDS = 5
_COARSE_LOOKS = 3
_TURNS_LOOKED_AT = 40
"""Lanes before those that are not fixed whose turns count: what more would tell is not worth that
every lane takes longer than the one before."""
_FINE_AHEAD = 16
"""Detail pictures made while those before are matched."""
_EXACT_ROUNDS = 8
"""Fewer than for the first lanes: the camera is known, and so is about where the lane lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacingSettings:
    """What is known of the stage, and how far exact links look."""

    rest_s: float
    ramp_s: float
    search_px: tuple[int, int]
    exposure_s: float = 0.0
    """Of a frame; it smears those that move."""
    skew_deg: float = 0.0
    """How far the stage's axes are from a right angle: the angle from x to y, less 90 degrees."""
    told_speed_px_per_s: float | None = None
    """Full speed by the calibration."""


class Placer:
    """`start` with the first lanes, then `add` those that follow.

    All lanes are given in the order of the film, with directions in one sense along the scan axis;
    inside they get the sense in which the lanes step towards +y.
    """

    def __init__(self, settings: PlacingSettings) -> None:
        self._settings = settings
        self._patches = PatchSettings(search_px=settings.search_px, exposure_s=settings.exposure_s)
        self.lanes: list[Lane] = []
        self.is_linked: list[bool] = []
        """Of each pair of neighbouring lanes: whether their overlap shows the same tissue."""
        self.pitch_px = 0.0
        """Distance between lanes, mosaic pixels."""
        self.fixed_count = 0
        """Lanes that have been handed on."""
        self._sense = 1
        self._read_out_s_per_row: tuple[float, float] | None = None
        self._pairs = MatchedPairs()
        self._seen_pairs: set[int] = set()
        self._stage: StageHabits
        self._starts_s: tuple[float, ...] = ()
        self._lost: dict[int, int] = {}
        """How many frames were lost over glass before which frame; negative if held twice."""
        self._ways: Ways = {}
        self._is_open = False
        """Whether the last two lanes disagree on that, which the next one may settle."""

    def start(
        self, film: FilmSoFar, lanes: Sequence[Lane], least_links: int, longest_rest_s: float
    ) -> bool:
        """Lay the first lanes out; False if fewer pairs of them are seen to overlap than wanted.

        `longest_rest_s` is what the lanes leave for a rest between them, as far as they were seen.
        """
        given = lanes
        # What an earlier try told of the sense need not be found again; what it told of the camera
        # may be wrong, else no other try would follow.
        lanes = [replace(lane, direction=lane.direction * self._sense) for lane in lanes]
        layout = lay_out(motion_of(film, lanes), film.coarse, film.coarse_reduction)
        if layout is None or int(layout.is_linked.sum()) < least_links:
            return False
        if pauses := pauses_among(film, layout):
            real = [lane for number, lane in enumerate(given) if number not in pauses]
            return self.start(film, real, least_links, longest_rest_s)
        self._take_over(layout, lanes, film.times_s, longest_rest_s)
        coarse = self._timed_layout(film, layout)
        exact = self._measured(film, coarse.trajectory, first_lane=0)
        self._exact_links: LaneLinks = LaneLinks(exact)
        links = with_coarse(exact, self._coarse_links.within(coarse.trajectory))
        self.trajectory = coarse.trajectory
        self._note_speeds(exact)
        solution = self._solved_with_camera(coarse.trajectory, links)
        self._note_ties(solution, links)
        self.trajectory = self._held(solution, links)
        self._camera_sigma = solution.camera_sigma
        return True

    def set_off(self, time_s: float) -> None:
        """Take from the stage when it set off on a lane, on the film's clock."""
        self._starts_s += (time_s,)

    def forget_pairs(self) -> None:
        """Match all frames anew: their pictures have changed, or no try will follow."""
        self._pairs = MatchedPairs()

    def add(self, film: FilmSoFar, lanes: Sequence[Lane]) -> None:
        """Put the next lanes below the last, one by one; those in which the stage stood are none.

        What is not fixed yet is solved anew each time.
        """
        blank: list[Lane] = []
        for lane in lanes:
            if not lane.is_seen:
                blank.append(lane)
                continue
            if not self._was_pause(film, blank, lane):
                for each in blank:
                    self._add(film, each)
            blank.clear()
            self._add(film, lane)
        for each in blank:
            self._add(film, each)

    def _was_pause(self, film: FilmSoFar, blank: Sequence[Lane], lane: Lane) -> bool:
        """Whether a lane follows the last one, and nothing between."""
        if not blank_runs([self.lanes[-1], *blank, lane]):
            return False
        placed = self._window(len(self.lanes) - 1)
        lane = replace(lane, direction=lane.direction * self._sense)
        return is_next(film, placed, lane, self._usual, self.camera, self.pitch_px)

    def _add(self, film: FilmSoFar, lane: Lane) -> None:
        first = max(lane.first, self.lanes[-1].last + 1)
        lane = replace(lane, first=first, direction=lane.direction * self._sense)
        alone = motion_of(film, [lane])
        self._note_seen(alone)
        apart = lanes_apart(alone, self._usual, self.camera)
        apart = replace(apart, lanes=apart.lanes + len(self.lanes))
        placed = self._window(len(self.lanes) - 1)
        beside, is_linked = lane_beside(
            placed, apart, self.pitch_px, film.coarse, film.coarse_reduction
        )
        self.lanes.append(lane)
        self.is_linked.append(is_linked)
        self.trajectory = self.trajectory.followed_by(beside)
        self._time(film)
        anchor = max(self.fixed_count - 1, 0)
        coarse = self._solved_coarsely(film, anchor)
        exact = self._measured(film, coarse, first_lane=len(self.lanes) - 1)
        self._exact_links.add(exact)
        self._replace_window(coarse)
        self._note_speeds(exact)
        links = with_coarse(self._exact_links.within(coarse), self._coarse_links.within(coarse))
        solution = self._solved_exactly(coarse, links)
        self._note_ties(solution, links)
        self._replace_window(self._held(solution, links))

    def end_before(self, frame: int) -> int:
        """Take back lanes that lie after a frame, unless they are fixed.

        Returns the frame after the last lane that is left.
        """
        while len(self.lanes) > self.fixed_count and self._middle(-1) >= frame:
            self.lanes.pop()
            self.is_linked.pop()
            self._stage = self._stage.before(len(self.lanes))
            self._coarse_links.take_back()
            self._exact_links.take_back()
            self.trajectory = self._window(0, len(self.lanes) - 1)
            self.table = self._timetable()
        return self.lanes[-1].last + 1

    @property
    def camera(self) -> CameraModel:
        return self.trajectory.camera

    def rim_sigma_px(self, frame_shape: tuple[int, int]) -> float:
        """How uncertain the rim of a frame is, for what is known of the camera; mosaic pixels."""
        return rim_sigma_px(self._camera_sigma, frame_shape, self.speed_px_per_s)

    @property
    def speed_px_per_s(self) -> float:
        # Lanes over glass are given the usual speed, which the first lanes told roughly.
        seen = self.table.speed_px_per_s[self.table.is_seen]
        return float(np.median(seen if len(seen) else self.table.speed_px_per_s))

    def fixable(self) -> range:
        """Lanes that nothing to come will move noticeably."""
        last = len(self.lanes) - 1
        until = self.fixed_count
        while until < last and self._is_settled(until):
            until += 1
        return range(self.fixed_count, until)

    def lane(self, number: int) -> Trajectory:
        """The frames of one lane."""
        return self._window(number, number)

    def linked_frames(self, number: int) -> NDArray[np.int64]:
        """Frames that exact links hold, those of one lane among them."""
        links = self._exact_links.around(number, len(self.lanes))
        return np.union1d(links.earlier, links.later)

    def solution(self) -> tuple[Solution, Links]:
        """All frames where they are now, and how well all links agree with that."""
        exact, coarse = (
            links.within(self.trajectory) for links in (self._exact_links, self._coarse_links)
        )
        links = with_coarse(exact, coarse)
        found = judged(self.trajectory, links, self._expected(self.trajectory))
        return replace(found, camera_sigma=self._camera_sigma), links

    def _take_over(
        self,
        layout: FirstLayout,
        lanes: Sequence[Lane],
        times_s: NDArray[np.float64],
        longest_rest_s: float,
    ) -> None:
        """Note what a first layout tells of the stage; an earlier one counts no more."""
        self._usual: UsualSteps = layout.usual
        self._read_out_s_per_row = layout.read_out_s_per_row
        self._sense *= layout.motion.lanes[0].direction * lanes[0].direction
        self.pitch_px = layout.pitch_px
        self.is_linked = [bool(linked) for linked in layout.is_linked]
        # An earlier try may have numbered the lanes otherwise.
        self._stage = StageHabits.by_rhythm(
            times_s[[(lane.first, lane.last) for lane in lanes]],
            speed_px_per_s=layout.usual.camera()[1],
            rest_s=min(self._settings.rest_s, longest_rest_s),
            ramp_s=self._settings.ramp_s,
            skew_deg=self._settings.skew_deg,
        )
        self._ways = {}
        self._note_seen(layout.motion)

    def _solved_with_camera(self, start: Trajectory, links: Links) -> Solution:
        """Solve the first lanes and the camera: once more with the pitch, and with other ways."""
        expected = self._expected(start)
        solution = solve(start, links, expected, fit_camera=True)
        self.pitch_px = self._seen_pitch_px(solution.trajectory)
        expected = self._expected(solution.trajectory)
        solution = solve(solution.trajectory, links, expected, fit_camera=True)
        if self._notes_ways(solution, links):
            expected = self._expected(solution.trajectory)
            solution = solve(solution.trajectory, links, expected, fit_camera=True)
        return with_uneven_speeds(solution, links, expected)

    def _middle(self, number: int) -> float:
        return (self.lanes[number].first + self.lanes[number].last) / 2

    def _is_settled(self, number: int) -> bool:
        """Whether a lane's group is tied to lanes before, or has turns enough, or has ended."""
        if self._is_open and number >= len(self.lanes) - 2:
            return False  # the next lane may move both
        first = last = number
        while first > 0 and self.is_linked[first - 1]:
            first -= 1
        while last < len(self.lanes) - 1 and self.is_linked[last]:
            last += 1
        is_tied = first < self.fixed_count
        return is_tied or last - first + 1 >= _YOUNG_GROUP or last < len(self.lanes) - 1

    def _timed_layout(self, film: FilmSoFar, layout: FirstLayout) -> Solution:
        """Give blank parts of lanes their frames, and solve again with the turns known."""
        self.lanes = list(layout.motion.lanes)
        self.trajectory = layout.trajectory
        self.table = self._timetable()
        self.lanes = timed_lanes(self.lanes, self.table, film.times_s)
        motion = motion_of(film, self.lanes)
        start = lanes_apart(motion, self._usual, self.camera)
        links = links_within(layout.links, start)
        expected = self._loosely(film, self._expected(start))
        nearly = solve(start, links, expected, fit_camera=False).trajectory
        # Lanes that were not linked lie near enough now for the faint tissue between rows of cores.
        again = run_links(nearly, motion, self._usual, film.coarse, film.coarse_reduction)
        links = links_within(gathered([*step_links(motion, self._usual), *again]), start)
        self._coarse_links: LaneLinks = LaneLinks(links)
        return solve(nearly, links, expected, fit_camera=False)

    def _time(self, film: FilmSoFar) -> None:
        """Give the lanes that are not fixed the frames that their turns allow."""
        self.table = self._timetable()
        timed = timed_lanes(self.lanes, self.table, film.times_s)
        for number in range(self.fixed_count, len(self.lanes)):
            first = timed[number].first
            if number > 0:
                first = max(first, self.lanes[number - 1].last + 1)
            last = max(timed[number].last, first)
            self.lanes[number] = replace(timed[number], first=first, last=last)
        parts = [self._window(0, self.fixed_count - 1)] if self.fixed_count else []
        parts += [self._retimed(film, n) for n in range(self.fixed_count, len(self.lanes))]
        trajectory = parts[0]
        for part in parts[1:]:
            trajectory = trajectory.followed_by(part)
        self.trajectory = trajectory

    def _retimed(self, film: FilmSoFar, number: int) -> Trajectory:
        lane = self.lanes[number]
        return retimed(self.lane(number), number, lane, self.table, film.times_s)

    def _solved_coarsely(self, film: FilmSoFar, anchor: int) -> Trajectory:
        """Find coarse links of the last lane and put it to within a few pixels.

        Where frames were lost, parts of the lane lie a step or two from where they should: parts
        that are too far off to be found at once may be near enough when others have been moved.
        """
        last = len(self.lanes) - 1
        motion = motion_of(film, self.lanes[-2:])
        own = step_links(motion_of(film, self.lanes[-1:]), self._usual)
        window = self._window(anchor)
        expected = self._loosely(film, self._expected(window))
        self._coarse_links.add(gathered(own))
        solved = window
        if self.table.is_seen[-1] and not self.is_linked[-1]:
            # It begins where the last one ended, which over glass is known by the rhythm only:
            # five steps from where the stage told that it set off.
            links = self._coarse_links.within(window)
            solved = solve(
                window, links, expected, fit_camera=False, rounds=_COARSE_ROUNDS
            ).trajectory
        for _ in range(_COARSE_LOOKS):
            here = solved.lanes >= last - 1
            pair = solved.only(here)
            pieces = run_links(
                replace(pair, lanes=pair.lanes - (last - 1)),
                motion,
                self._usual,
                film.coarse,
                film.coarse_reduction,
            )
            self._coarse_links.replace_last(gathered([*own, *pieces]))
            links = self._coarse_links.within(window)
            solution = solve(window, links, expected, fit_camera=False, rounds=_COARSE_ROUNDS)
            moved_px = np.abs(solution.trajectory.positions[here] - pair.positions)[:, 1]
            solved = solution.trajectory
            if not (moved_px[_is_in(own, pair)] > self._usual_step_px / 2).any():
                break
        return solved

    def _solved_exactly(self, coarse: Trajectory, links: Links) -> Solution:
        """Solve, and once more where lanes tell that frames over glass were lost or held twice."""
        expected = self._expected(coarse)
        solution = solve(coarse, links, expected, fit_camera=False, rounds=_EXACT_ROUNDS)
        found = miscounts(solution, links, expected.along_px, self._usual_step_px, self.fixed_count)
        self._is_open = found.is_open
        if found.lost:
            self._lost |= found.lost
            expected = self._expected(coarse)
            solution = solve(coarse, links, expected, fit_camera=False, rounds=_EXACT_ROUNDS)
        if self._notes_ways(solution, links):
            expected = self._expected(coarse)
            solution = solve(coarse, links, expected, fit_camera=False, rounds=_EXACT_ROUNDS)
        return with_uneven_speeds(solution, links, expected)

    def _measured(self, film: FilmSoFar, coarse: Trajectory, first_lane: int) -> Links:
        """Exact links of the lanes from `first_lane` on, among themselves and to the one before."""
        needed = coarse.frames[coarse.lanes >= first_lane - 1]
        details = ahead(((int(frame), film.fine(int(frame))) for frame in needed), _FINE_AHEAD)
        return measure_links(
            details,
            coarse,
            film.fine_reduction,
            self._patches,
            first_lane=first_lane,
            pairs=self._pairs,
        )

    def _expected(self, trajectory: Trajectory) -> Expectations:
        expected = expected_motion(trajectory, self.lanes, self.table, self.pitch_px)
        expected = replace(expected, read_out_s_per_row=self._read_out_s_per_row)
        if self._lost:
            lost_px = lost_way_px(trajectory, self.lanes, self._lost, self._usual_step_px)
            expected = replace(expected, along_px=expected.along_px + lost_px)
        expected = replace(expected, ways_px=self._ways)
        if not self.fixed_count:
            return expected
        return replace(expected, is_pinned=trajectory.lanes < self.fixed_count)

    def _notes_ways(self, solution: Solution, links: Links) -> bool:
        """Note ways over glass that are likelier than those found; whether there are any."""
        even = expected_motion(solution.trajectory, self.lanes, self.table, self.pitch_px)
        found = likeliest_ways(
            solution,
            links,
            even.along_px,
            self._usual_step_px,
            self.is_linked,
            self.fixed_count,
        )
        self._ways |= found
        return bool(found)

    def _loosely(self, film: FilmSoFar, expected: Expectations) -> Expectations:
        reduction = film.coarse_reduction
        sigma_px = coarse_link_sigma_px(reduction, adds_up=expected.keeps_speed)
        return replace(expected, link_sigma_px=sigma_px, jerks_at_once=True)

    def _held(self, solution: Solution, links: Links) -> Trajectory:
        return never_backwards(solution.trajectory, self.lanes, held_frames(solution, links))

    def _timetable(self) -> Timetable:
        """Time the lanes anew; those long fixed stay as they are and tell no more of the turns."""
        first = max(self.fixed_count - _TURNS_LOOKED_AT, 0)
        window = self._window(first)
        trajectory = replace(window, lanes=window.lanes - first)
        pairs = np.fromiter(self._seen_pairs, np.int64)
        is_seen = np.isin(trajectory.frames, np.concatenate([pairs, pairs + 1]))
        stage = replace(self._stage.since(first), starts_s=self._starts_s)
        is_linked = np.array(self.is_linked[first:], np.bool_)
        fixed_count = self.fixed_count - first
        table = timetable(trajectory, self.lanes[first:], is_linked, is_seen, stage, fixed_count)
        return table.after(self.table, first) if first else table

    def _note_seen(self, motion: Motion) -> None:
        self._seen_pairs |= set(seen_steps(motion, self._usual))

    def _note_speeds(self, exact: Links) -> None:
        """Time the lanes anew, with the speed that exact links tell of the new ones."""
        usual, known = self._stage.speed_px_per_s, self._stage.linked_speeds_px_per_s
        # Exact links reach one lane farther back than those that are new.
        window = self._window(max(len(known) - 1, 0))
        new = linked_speeds(window, exact, len(self.lanes), usual)[len(known) :].tolist()
        self._stage = replace(self._stage, linked_speeds_px_per_s=(*known, *new))
        if self._starts_s:  # else lanes keep their own speeds
            seen = perfect_speed(self.trajectory, self._exact_links.within(self.trajectory), usual)
            agreed = agreed_speed(seen, self._settings.told_speed_px_per_s)
            self._stage = replace(self._stage, agreed_speed_px_per_s=agreed)
        self.table = self._timetable()

    def _note_ties(self, solution: Solution, links: Links) -> None:
        tied = tied_lanes(solution, links, len(self.lanes))
        self.is_linked = [bool(each) for each in np.array(self.is_linked) | tied]

    def _seen_pitch_px(self, trajectory: Trajectory) -> float:
        """Median distance of lanes whose overlap was seen."""
        heights = [
            float(np.median(trajectory.positions[rows, 0])) for rows in lane_rows(trajectory)
        ]
        pitches = np.diff(heights)[np.array(self.is_linked, np.bool_)]
        return float(np.median(pitches)) if len(pitches) else self.pitch_px

    @property
    def _usual_step_px(self) -> float:
        return self._stage.speed_px_per_s * self._usual.interval_s

    def _window(self, first: int, last: int | None = None) -> Trajectory:
        """The frames of the lanes from `first` to `last`, both included."""
        chosen = self.trajectory.lanes >= first
        if last is not None:
            chosen &= self.trajectory.lanes <= last
        return self.trajectory.only(chosen)

    def _replace_window(self, window: Trajectory) -> None:
        """Take over a solved window; lanes that are fixed keep their places to the last digit."""
        positions, halves = self.trajectory.positions.copy(), self.trajectory.known_halves.copy()
        is_free = window.lanes >= self.fixed_count
        rows = self.trajectory.rows_of(window.frames[is_free])
        positions[rows] = window.positions[is_free]
        halves[rows] = window.known_halves[is_free]
        self.trajectory = replace(self.trajectory, positions=positions, halves=halves)


def _is_in(links: Sequence[Link], trajectory: Trajectory) -> NDArray[np.bool_]:
    """Which frames the links touch, (n,)."""
    ends = [frame for link in links for frame in link[:2]]
    return np.isin(trajectory.frames, ends)

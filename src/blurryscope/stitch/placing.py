"""Places lane after lane while the film still runs; what has been handed on stays where it is.

The first lanes are laid out together, since the camera's mounting and read-out have to be measured
from several lanes at once. After that every new lane is put beside the one before and solved
together with the few lanes that are not fixed yet, against the last one that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel, rim_sigma_px
from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.film_so_far import FilmSoFar, motion_of
from blurryscope.stitch.lane_frames import retimed, timed_lanes
from blurryscope.stitch.lane_links import LaneLinks, links_across, not_found_again
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.layout import FirstLayout, lane_beside, lay_out
from blurryscope.stitch.links import Links, gathered, joined
from blurryscope.stitch.matching import MatchedPairs, PatchSettings
from blurryscope.stitch.miscounts import miscounts
from blurryscope.stitch.monotone import never_backwards
from blurryscope.stitch.pauses import blank_runs, is_next, pauses_among
from blurryscope.stitch.refine import measure_links, with_coarse
from blurryscope.stitch.run_links import run_links
from blurryscope.stitch.solve import Solution, judged, solve
from blurryscope.stitch.stage_so_far import StageSettings, StageSoFar, loosely
from blurryscope.stitch.steps import Motion, lanes_apart, seen_steps, step_links
from blurryscope.stitch.strays import likeliest_ways
from blurryscope.stitch.ties import held_frames, tied_lanes
from blurryscope.stitch.trajectory import Trajectory
from blurryscope.stitch.uneven import with_uneven_speeds

_YOUNG_GROUP = 3
"""Lanes that hang together but on nothing before lie where two turns of the stage say, not one."""
_COARSE_ROUNDS = 5
_COARSE_LOOKS = 3
_SAME_PITCH_PX = 0.4
"""By which the pitch may differ from what was thought without moving anything: a tenth of what
lanes are taken to stray from it."""
_EXACT_ROUNDS = 8
"""Fewer than for the first lanes: the camera is known, and so is about where the lane lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacingSettings:
    """What is known of the stage, and how far exact links look."""

    stage: StageSettings
    search_px: tuple[int, int]
    exposure_s: float = 0.0
    """Of a frame; it smears those that move."""


class Placer:
    """`start` with the first lanes, then `add` those that follow.

    All lanes are given in the order of the film, with directions in one sense along the scan axis;
    inside they get the sense in which the lanes step towards +y.
    """

    trajectory: Trajectory
    """All frames in lanes, where they lie now; from `start` on."""
    _coarse_links: LaneLinks
    """Those of the first look, of all lanes."""
    _exact_links: LaneLinks
    _camera_sigma: NDArray[np.float64]
    """As in `Solution`, of the solution of the first lanes."""

    def __init__(self, settings: PlacingSettings) -> None:
        self.stage = StageSoFar(settings.stage)
        self._patches = PatchSettings(search_px=settings.search_px, exposure_s=settings.exposure_s)
        self.lanes: list[Lane] = []
        self.is_linked: list[bool] = []
        """Of each pair of neighbouring lanes: whether their overlap shows the same tissue."""
        self.fixed_count = 0
        """Lanes that have been handed on."""
        self._sense = 1
        self._pairs = MatchedPairs()
        self.trajectory: Trajectory
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
        self.stage.take_over(layout, lanes, film.times_s, longest_rest_s)
        self._sense *= layout.motion.lanes[0].direction * lanes[0].direction
        self.is_linked = [bool(linked) for linked in layout.is_linked]
        coarse = self._timed_layout(film, layout)
        self._place_first_lanes(film, coarse.trajectory, self._patches)
        return True

    def look_again(self, film: FilmSoFar) -> None:
        """Match frames of the first lanes anew that turned out to lie elsewhere than thought.

        Before the camera was known, and what jerked before what, their patches were looked for too
        far away. Then solve again.
        """
        y_px, x_px = self._patches.search_px
        # What moved by less than half of that was within reach.
        patches = replace(self._patches, same_place_px=(y_px / 2, x_px / 2))
        self._place_first_lanes(film, self.trajectory, patches)

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
        placed = self.trajectory.between_lanes(len(self.lanes) - 1)
        lane = replace(lane, direction=lane.direction * self._sense)
        return is_next(film, placed, lane, self.stage.usual, self.camera, self.stage.pitch_px)

    def _add(self, film: FilmSoFar, lane: Lane) -> None:
        first = max(lane.first, self.lanes[-1].last + 1)
        lane = replace(lane, first=first, direction=lane.direction * self._sense)
        alone = motion_of(film, [lane])
        self.stage.note_seen(alone)
        apart = lanes_apart(alone, self.stage.usual, self.camera)
        apart = replace(apart, lanes=apart.lanes + len(self.lanes))
        placed = self.trajectory.between_lanes(len(self.lanes) - 1)
        beside, is_linked = lane_beside(
            placed, apart, self.stage.pitch_px, film.coarse, film.coarse_reduction
        )
        self.lanes.append(lane)
        self.is_linked.append(is_linked)
        self.trajectory = self.trajectory.followed_by(beside)
        self._time(film)
        anchor = max(self.fixed_count - 1, 0)
        coarse = self._solved_coarsely(film, anchor)
        exact = self._measured(film, coarse, len(self.lanes) - 1, self._patches)
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
            self.stage.forget_from(len(self.lanes))
            self._coarse_links.take_back()
            self._exact_links.take_back()
            self.trajectory = self.trajectory.between_lanes(0, len(self.lanes) - 1)
            self._time_lanes()
        return self.lanes[-1].last + 1

    @property
    def camera(self) -> CameraModel:
        return self.trajectory.camera

    def rim_sigma_px(self, frame_shape: tuple[int, int]) -> float:
        """How uncertain the rim of a frame is, for what is known of the camera; mosaic pixels."""
        return rim_sigma_px(self._camera_sigma, frame_shape, self.stage.speed_px_per_s)

    def fixable(self) -> range:
        """Lanes that nothing to come will move noticeably."""
        last = len(self.lanes) - 1
        until = self.fixed_count
        while until < last and self._is_settled(until):
            until += 1
        return range(self.fixed_count, until)

    def lane(self, number: int) -> Trajectory:
        """The frames of one lane."""
        return self.trajectory.between_lanes(number, number)

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

    def _place_first_lanes(
        self, film: FilmSoFar, start: Trajectory, patches: PatchSettings
    ) -> None:
        """Place the first lanes by exact links, looked for where the frames lie in `start`."""
        exact = self._measured(film, start, 0, patches)
        self._exact_links = LaneLinks(exact)
        links = with_coarse(exact, self._coarse_links.within(start))
        self.trajectory = start
        self._note_speeds(exact)
        solution = self._solved_with_camera(start, links)
        self._note_ties(solution, links)
        self.trajectory = self._held(solution, links)
        self._camera_sigma = solution.camera_sigma

    def _solved_with_camera(self, start: Trajectory, links: Links) -> Solution:
        """Solve the first lanes and the camera: once more with the pitch, and with other ways."""
        expected = self._expected(start)
        solution = solve(start, links, expected, fit_camera=True)
        thought_px = self.stage.pitch_px
        self.stage.note_pitch(solution.trajectory, np.array(self.is_linked, np.bool_))
        if abs(self.stage.pitch_px - thought_px) > _SAME_PITCH_PX:
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
        self._time_lanes()
        self.lanes = timed_lanes(self.lanes, self.stage.table, film.times_s)
        motion = motion_of(film, self.lanes)
        start = lanes_apart(motion, self.stage.usual, self.camera)
        # Lanes have frames that they had not yet, and what those show: where the stage stood, too.
        steps = gathered(step_links(motion, self.stage.usual))
        before = links_across(layout.links, start)
        expected = loosely(self._expected(start), film.coarse_reduction)
        nearly = solve(start, joined(steps, before), expected, fit_camera=False).trajectory
        # Lanes that were not linked lie near enough now for the faint tissue between rows of cores.
        again = gathered(
            run_links(nearly, motion, self.stage.usual, film.coarse, film.coarse_reduction)
        )
        # And what a second look falls short of by a hair, the first one found.
        links = joined(steps, again, not_found_again(before, again, steps.earlier))
        self._coarse_links = LaneLinks(links)
        return solve(nearly, links, expected, fit_camera=False)

    def _time(self, film: FilmSoFar) -> None:
        """Give the lanes that are not fixed the frames that their turns allow."""
        self._time_lanes()
        timed = timed_lanes(self.lanes, self.stage.table, film.times_s)
        for number in range(self.fixed_count, len(self.lanes)):
            first = timed[number].first
            if number > 0:
                first = max(first, self.lanes[number - 1].last + 1)
            last = max(timed[number].last, first)
            self.lanes[number] = replace(timed[number], first=first, last=last)
        parts = [self.trajectory.between_lanes(0, self.fixed_count - 1)] if self.fixed_count else []
        parts += [self._retimed(film, n) for n in range(self.fixed_count, len(self.lanes))]
        trajectory = parts[0]
        for part in parts[1:]:
            trajectory = trajectory.followed_by(part)
        self.trajectory = trajectory

    def _retimed(self, film: FilmSoFar, number: int) -> Trajectory:
        lane = self.lanes[number]
        return retimed(self.lane(number), number, lane, self.stage.table, film.times_s)

    def _solved_coarsely(self, film: FilmSoFar, anchor: int) -> Trajectory:
        """Find coarse links of the last lane and put it to within a few pixels.

        Where frames were lost, parts of the lane lie a step or two from where they should: parts
        that are too far off to be found at once may be near enough when others have been moved.
        """
        own = gathered(step_links(motion_of(film, self.lanes[-1:]), self.stage.usual))
        steps = np.array(list(seen_steps(self._last_motion(film), self.stage.usual)), np.int64)
        window = self.trajectory.between_lanes(anchor)
        expected = loosely(self._expected(window), film.coarse_reduction)

        def solved_anew() -> Trajectory:
            links = self._coarse_links.within(window)
            found = solve(window, links, expected, fit_camera=False, rounds=_COARSE_ROUNDS)
            return found.trajectory

        self._coarse_links.add(own)
        solved = window
        if self.stage.table.is_timed[-1] and not self.is_linked[-1]:
            # It begins where the last one ended, which over glass is known by the rhythm only:
            # five steps from where the stage told that it set off.
            solved = solved_anew()
        pieces = gathered([])
        for _ in range(_COARSE_LOOKS):
            here = solved.lanes >= len(self.lanes) - 2
            pair = solved.only(here)
            again = self._linked_runs(film, pair)
            # And what this look falls short of by a hair, an earlier one found.
            pieces = joined(again, not_found_again(pieces, again, steps))
            self._coarse_links.replace_last(joined(own, pieces))
            solved = solved_anew()
            moved_px = np.abs(solved.positions[here] - pair.positions)[:, 1]
            if not (moved_px[_is_in(own, pair)] > self.stage.usual_step_px / 2).any():
                break
        return solved

    def _last_motion(self, film: FilmSoFar) -> Motion:
        """How the stage moved in the last two lanes."""
        return motion_of(film, self.lanes[-2:])

    def _linked_runs(self, film: FilmSoFar, pair: Trajectory) -> Links:
        """Links of the last two lanes run by run, where they lie now."""
        numbered = replace(pair, lanes=pair.lanes - (len(self.lanes) - 2))
        usual, reduction = self.stage.usual, film.coarse_reduction
        motion = self._last_motion(film)
        return gathered(run_links(numbered, motion, usual, film.coarse, reduction))

    def _solved_exactly(self, coarse: Trajectory, links: Links) -> Solution:
        """Solve, and once more where lanes tell that frames over glass were lost or held twice."""
        expected = self._expected(coarse)
        solution = solve(coarse, links, expected, fit_camera=False, rounds=_EXACT_ROUNDS)
        found = miscounts(
            solution, links, expected.along_px, self.stage.usual_step_px, self.fixed_count
        )
        self._is_open = found.is_open
        if found.lost:
            self.stage.note_lost(found.lost)
            expected = self._expected(coarse)
            solution = solve(coarse, links, expected, fit_camera=False, rounds=_EXACT_ROUNDS)
        if self._notes_ways(solution, links):
            expected = self._expected(coarse)
            solution = solve(coarse, links, expected, fit_camera=False, rounds=_EXACT_ROUNDS)
        return with_uneven_speeds(solution, links, expected)

    def _measured(
        self, film: FilmSoFar, thought: Trajectory, first_lane: int, patches: PatchSettings
    ) -> Links:
        """Exact links of the lanes from `first_lane` on, among themselves and to the one before.

        `thought` is where the frames are thought to lie.
        """
        needed = thought.frames[thought.lanes >= first_lane - 1]
        return measure_links(
            needed.tolist(),
            film.fine,
            thought,
            film.fine_reduction,
            patches,
            first_lane=first_lane,
            pairs=self._pairs,
        )

    def _expected(self, trajectory: Trajectory) -> Expectations:
        return self.stage.expected(trajectory, self.lanes, self.fixed_count)

    def _notes_ways(self, solution: Solution, links: Links) -> bool:
        """Note ways over glass that are likelier than those found; whether there are any."""
        even = self.stage.even(solution.trajectory, self.lanes)
        found = likeliest_ways(
            solution,
            links,
            even.along_px,
            self.stage.usual_step_px,
            self.is_linked,
            self.fixed_count,
        )
        self.stage.note_ways(found)
        return bool(found)

    def _held(self, solution: Solution, links: Links) -> Trajectory:
        return never_backwards(solution.trajectory, self.lanes, held_frames(solution, links))

    def _time_lanes(self) -> None:
        self.stage.time_lanes(self.trajectory, self.lanes, self.is_linked, self.fixed_count)

    def _note_speeds(self, exact: Links) -> None:
        """Time the lanes anew, with the speed that exact links tell of the new ones."""
        known = self._exact_links.within(self.trajectory)
        self.stage.note_speeds(self.trajectory, exact, known)
        self._time_lanes()

    def _note_ties(self, solution: Solution, links: Links) -> None:
        tied = tied_lanes(solution, links, len(self.lanes))
        self.is_linked = [bool(each) for each in np.array(self.is_linked) | tied]

    def _replace_window(self, window: Trajectory) -> None:
        """Take over a solved window; lanes that are fixed keep their places to the last digit."""
        positions, halves = self.trajectory.positions.copy(), self.trajectory.known_halves.copy()
        is_free = window.lanes >= self.fixed_count
        rows = self.trajectory.rows_of(window.frames[is_free])
        positions[rows] = window.positions[is_free]
        halves[rows] = window.known_halves[is_free]
        self.trajectory = replace(self.trajectory, positions=positions, halves=halves)


def _is_in(links: Links, trajectory: Trajectory) -> NDArray[np.bool_]:
    """Which frames the links touch, (n,)."""
    return np.isin(trajectory.frames, np.concatenate([links.earlier, links.later]))

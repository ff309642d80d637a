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
from blurryscope.stitch.first_look import FirstLook
from blurryscope.stitch.lane_frames import later_lanes_retimed, later_lanes_timed, timed_lanes
from blurryscope.stitch.lane_groups import settled_count
from blurryscope.stitch.lane_links import LaneLinks, links_across
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.layout import FirstLayout, lane_beside, lay_out
from blurryscope.stitch.links import Links
from blurryscope.stitch.matching import MatchedPairs, PatchSettings
from blurryscope.stitch.miscounts import miscounts
from blurryscope.stitch.monotone import never_backwards
from blurryscope.stitch.pauses import blank_runs, is_next, pauses_among
from blurryscope.stitch.refine import measure_links, with_coarse
from blurryscope.stitch.solve import Solution, judged, solve
from blurryscope.stitch.stage_so_far import StageSettings, StageSoFar
from blurryscope.stitch.steps import lanes_apart
from blurryscope.stitch.strays import likeliest_ways
from blurryscope.stitch.ties import held_frames, tied_lanes
from blurryscope.stitch.trajectory import Trajectory
from blurryscope.stitch.uneven import with_uneven_speeds

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
        self._place_first_lanes(film, coarse, self._patches)
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
        coarse = self._solved_coarsely(film)
        exact = self._measured(film, coarse, len(self.lanes) - 1, self._patches)
        self._exact_links.add(exact)
        self.trajectory = self.trajectory.moved_to(coarse, self.fixed_count)
        self._note_speeds(exact)
        links = with_coarse(self._exact_links.within(coarse), self._coarse_links.within(coarse))
        solution = self._solved_exactly(coarse, links)
        self._note_ties(solution, links)
        self.trajectory = self.trajectory.moved_to(self._held(solution, links), self.fixed_count)

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
        settled = settled_count(self.is_linked, self.fixed_count, is_open=self._is_open)
        return range(self.fixed_count, settled)

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

    def _timed_layout(self, film: FilmSoFar, layout: FirstLayout) -> Trajectory:
        """Give blank parts of lanes their frames, and look again with the turns known."""
        self.lanes = list(layout.motion.lanes)
        self.trajectory = layout.trajectory
        self._time_lanes()
        self.lanes = timed_lanes(self.lanes, self.stage.table, film.times_s)
        # With what the frames show that lanes had not yet: where the stage stood, too.
        motion = motion_of(film, self.lanes)
        start = lanes_apart(motion, self.stage.usual, self.camera)
        look = FirstLook(
            film=film, motion=motion, usual=self.stage.usual, expected=self._expected(start)
        )
        links, coarse = look.at_first_lanes(start, links_across(layout.links, start))
        self._coarse_links = LaneLinks(links)
        return coarse

    def _time(self, film: FilmSoFar) -> None:
        """Give the lanes that are not fixed the frames that their turns allow."""
        self._time_lanes()
        table, fixed = self.stage.table, self.fixed_count
        self.lanes = later_lanes_timed(self.lanes, fixed, table, film.times_s)
        self.trajectory = later_lanes_retimed(
            self.trajectory, self.lanes, fixed, table, film.times_s
        )

    def _solved_coarsely(self, film: FilmSoFar) -> Trajectory:
        """Find coarse links of the last lane and put it to within a few pixels."""
        window = self.trajectory.between_lanes(max(self.fixed_count - 1, 0))
        look = FirstLook(
            film=film,
            motion=motion_of(film, self.lanes[-2:]),
            usual=self.stage.usual,
            expected=self._expected(window),
        )
        return look.at_last_lane(
            window,
            self._coarse_links,
            self.stage.usual_step_px,
            begins_as_told=bool(self.stage.table.is_timed[-1]) and not self.is_linked[-1],
        )

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

"""Lanes are placed one after the other, over a film made by hand: two rows of cores, glass between.

The tissue of either row fills three lanes; nothing that two rows show is the same.
"""

from dataclasses import dataclass, field, replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch import first_look, placing, stage_so_far
from blurryscope.stitch.lane_links import links_across
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.links import Links
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.placing import Placer, PlacingSettings
from blurryscope.stitch.refine import measure_links
from blurryscope.stitch.run_links import run_links
from blurryscope.stitch.stage_so_far import StageSettings
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import Trajectory

REDUCTION = 2
ROWS, COLUMNS = 60, 80
"""Of a detail picture; the camera's frames are twice as large."""
PITCH_PX, STEP_PX, LANE_FRAMES, REST_FRAMES = 80, 40, 24, 12
"""Pixels of the camera; frames of a lane, and of the rest after it."""
ROW_LANES, GLASS_LANES = 3, 1
TISSUE_STEPS = (6, 18)
"""Where along a lane the cores lie."""
SKIPPED_STEP = 14
INTERVAL_S = 1 / 30
LANES = 2 * ROW_LANES + GLASS_LANES
MARGIN = 200
SEARCH_PX = 14
"""Along the lanes, for exact links; pixels of the detail pictures."""


def _is_tissue(lane: int) -> bool:
    return not ROW_LANES <= lane < ROW_LANES + GLASS_LANES


@cache
def _slide(tissue_steps: tuple[int, int]) -> Grey:
    """Pixels of the detail pictures; the first frame's centre is at (0, 0) + margin."""
    rng = np.random.default_rng(5)
    shape = LANES * PITCH_PX // REDUCTION + ROWS, LANE_FRAMES * STEP_PX // REDUCTION + COLUMNS
    shape = shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
    texture = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 2)
    tissue = np.zeros(shape, np.float32)
    left, right = (MARGIN + step * STEP_PX // REDUCTION for step in tissue_steps)
    for first in (0, ROW_LANES + GLASS_LANES):
        top = MARGIN + first * PITCH_PX // REDUCTION
        bottom = top + (ROW_LANES - 1) * PITCH_PX // REDUCTION
        tissue[top - ROWS // 6 : bottom + ROWS // 6, left:right] = 0.1
    noise = 0.001 * rng.standard_normal(shape).astype(np.float32)
    return np.asarray(texture / texture.std() * tissue + noise, np.float32)


@dataclass(frozen=True, slots=True)
class _Film:
    """What a film of that slide shows; the stage rests after every lane."""

    times_s: NDArray[np.float64] = field(init=False)
    truth_px: NDArray[np.float64] = field(init=False)
    """(frames, 2) true field centres (y, x), pixels of the camera."""
    shifts: list[PairShift] = field(init=False)
    tissue_steps: tuple[int, int] = TISSUE_STEPS
    skips: int | None = None
    """Lane in which a frame was lost, of which the times tell nothing."""
    frame_shape: tuple[int, int] = (ROWS * REDUCTION, COLUMNS * REDUCTION)
    coarse_reduction: int = REDUCTION
    fine_reduction: int = REDUCTION

    def __post_init__(self) -> None:
        along = np.arange(LANE_FRAMES) * float(STEP_PX)
        parts = []
        for lane in range(LANES):
            way = along if lane % 2 == 0 else along[::-1]
            x = np.concatenate([way, np.full(REST_FRAMES, way[-1])])
            if lane == self.skips:
                x[SKIPPED_STEP:] += np.sign(way[1] - way[0]) * STEP_PX
            parts.append(np.stack([np.full(len(x), float(lane * PITCH_PX)), x], axis=1))
        truth = np.concatenate(parts)
        object.__setattr__(self, "truth_px", truth)
        object.__setattr__(self, "times_s", np.arange(len(truth)) * INTERVAL_S)
        object.__setattr__(self, "shifts", [self._shift(pair) for pair in range(len(truth) - 1)])

    def _shift(self, pair: int) -> PairShift:
        moved = self.truth_px[pair + 1] - self.truth_px[pair]
        is_seen = min(float(self.coarse(frame).std()) for frame in (pair, pair + 1)) > 0.01
        is_seen = is_seen and abs(moved[1]) < 1.5 * STEP_PX
        return PairShift(
            row_px=-moved[0],
            col_px=-moved[1],
            correlation=0.95 if is_seen and not moved[0] else 0.0,
            stillness=0.0,
        )

    def coarse(self, frame: int) -> Grey:
        top, left = (self.truth_px[frame] / REDUCTION).astype(int) + MARGIN
        top, left = int(top) - ROWS // 2, int(left) - COLUMNS // 2
        return _slide(self.tissue_steps)[top : top + ROWS, left : left + COLUMNS]

    def fine(self, frame: int) -> Grey:
        return self.coarse(frame)


def _lanes(late_frames: int) -> list[Lane]:
    """Lanes as they were filmed; the first one of the second row is found late by so many."""
    lanes = []
    for number in range(LANES):
        first = number * (LANE_FRAMES + REST_FRAMES)
        late = late_frames if number == ROW_LANES + GLASS_LANES else 0
        lanes.append(
            Lane(
                first=first + late,
                last=first + LANE_FRAMES - 1,
                direction=1 if number % 2 == 0 else -1,
                evidence=9.0 if _is_tissue(number) else 0.0,
            )
        )
    return lanes


def _settings(rest_s: float) -> PlacingSettings:
    return PlacingSettings(
        stage=StageSettings(rest_s=rest_s, ramp_s=0.001), search_px=(7, SEARCH_PX)
    )


def test_a_lane_that_nothing_links_yet_is_sought_around_where_the_stage_says_that_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over glass its beginning is known by the rhythm only; rims a few steps off look alike."""
    film, looks = _Film(), []

    def noted(beside: Trajectory, *rest: object) -> object:
        looks.append(beside)
        return run_links(beside, *rest)  # type: ignore[arg-type]

    placer = Placer(_settings(REST_FRAMES * INTERVAL_S))
    lanes = _lanes(late_frames=5)
    assert placer.start(film, lanes[:ROW_LANES], least_links=2, longest_rest_s=np.inf)
    placer.fixed_count = ROW_LANES - 1
    for lane in _lanes(late_frames=0):
        placer.stage.set_off(float(film.times_s[lane.first]))
    monkeypatch.setattr(first_look, "run_links", noted)
    placer.add(film, lanes[ROW_LANES:])
    assert not placer.is_linked[ROW_LANES + GLASS_LANES - 1]
    for beside in looks:
        off_px = beside.positions[:, 1] - film.truth_px[beside.frames, 1]
        apart_px = np.median(off_px[beside.lanes == 1]) - np.median(off_px[beside.lanes == 0])
        assert abs(apart_px) < 1.5 * STEP_PX
    off_px = placer.trajectory.positions - film.truth_px[placer.trajectory.frames]
    assert np.ptp(off_px[:, 1]) < STEP_PX


def test_what_a_first_look_found_of_a_piece_that_lay_a_step_off_a_second_does_not_lose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Faint tissue agrees well enough in one look, and falls short of it by a hair in the next."""
    above, last = ROW_LANES + GLASS_LANES, ROW_LANES + GLASS_LANES + 1
    film, looks = _Film(skips=last), []

    def found_once(beside: Trajectory, *rest: object) -> object:
        looks.append(beside)
        return run_links(beside, *rest) if len(looks) == 1 else []  # type: ignore[arg-type]

    placer = Placer(_settings(REST_FRAMES * INTERVAL_S))
    lanes = _lanes(late_frames=0)
    assert placer.start(film, lanes[:ROW_LANES], least_links=2, longest_rest_s=np.inf)
    placer.add(film, lanes[ROW_LANES:last])
    monkeypatch.setattr(first_look, "run_links", found_once)
    placer.add(film, [lanes[last]])
    assert len(looks) > 1
    placed = placer.trajectory.between_lanes(above, last)
    off_px = placed.positions[:, 1] - film.truth_px[placed.frames, 1]
    shows = np.array([float(film.coarse(frame).std()) > 0.05 for frame in placed.frames.tolist()])
    assert np.ptp(off_px[shows]) < 4.0


def test_a_lane_that_was_thought_elsewhere_is_linked_by_looking_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes behind a jerk lies too far off at first; its coarse links bring it near."""
    film = _Film()

    def measured(
        frames: object, detail_of: object, thought: Trajectory, *rest: object, **named: object
    ) -> Links:
        positions = thought.positions.copy()
        positions[thought.lanes == 1, 1] += 4 * SEARCH_PX * REDUCTION
        elsewhere = replace(thought, positions=positions)
        return measure_links(frames, detail_of, elsewhere, *rest, **named)  # type: ignore[arg-type]

    placer = Placer(_settings(REST_FRAMES * INTERVAL_S))
    lanes = _lanes(late_frames=0)[:ROW_LANES]
    with monkeypatch.context() as first_look:
        first_look.setattr(placing, "measure_links", measured)
        assert placer.start(film, lanes, least_links=2, longest_rest_s=np.inf)
    assert _exact_links_across(placer) == 0
    placer.look_again(film)
    assert _exact_links_across(placer) > 10


def _exact_links_across(placer: Placer) -> int:
    solution, links = placer.solution()
    return int((links_across(links, solution.trajectory).correlation > 0.5).sum())


def test_where_the_stage_is_seen_to_stand_it_is_not_thought_to_go_on_though_rests_are_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lanes get frames of their rests; steps of those were not looked at when they were found."""
    film, looks = _Film(tissue_steps=(-5, LANE_FRAMES + 5)), []

    def noted(beside: Trajectory, *rest: object) -> object:
        looks.append(beside)
        return run_links(beside, *rest)  # type: ignore[arg-type]

    placer = Placer(_settings(0.65 * REST_FRAMES * INTERVAL_S))
    monkeypatch.setattr(first_look, "run_links", noted)
    lanes = _lanes(late_frames=0)[:ROW_LANES]
    assert placer.start(film, lanes, least_links=2, longest_rest_s=np.inf)
    (beside,) = looks
    assert len(beside.frames) >= ROW_LANES * (LANE_FRAMES + 4)
    off_px = beside.positions[:, 1] - film.truth_px[beside.frames, 1]
    for number in range(ROW_LANES):
        assert np.ptp(off_px[beside.lanes == number]) < 1.5 * STEP_PX


def test_rests_that_are_told_too_long_for_what_was_seen_move_no_lane() -> None:
    film, lanes = _Film(), _lanes(late_frames=0)
    rest_s = REST_FRAMES * INTERVAL_S
    placer = Placer(_settings(3 * rest_s))
    assert placer.start(film, lanes[:ROW_LANES], least_links=2, longest_rest_s=rest_s)
    placer.add(film, lanes[ROW_LANES:])
    assert len(placer.lanes) == LANES
    for placed, lane in zip(placer.lanes, lanes, strict=True):
        assert abs(placed.first - lane.first) <= 3
        assert abs(placed.last - lane.last) <= 3


def test_rests_that_are_told_too_long_take_no_frames_from_lanes_that_were_seen() -> None:
    film, lanes = _Film(), _lanes(late_frames=0)
    rest_s = REST_FRAMES * INTERVAL_S
    placer = Placer(_settings(3 * rest_s))
    assert placer.start(film, lanes[:ROW_LANES], least_links=2, longest_rest_s=np.inf)
    for lane in lanes[ROW_LANES:]:
        placer.add(film, [lane])
    for placed, lane in zip(placer.lanes, lanes, strict=True):
        if lane.is_seen:
            assert placed.first <= lane.first + TISSUE_STEPS[0] + 2
            assert placed.last >= lane.first + TISSUE_STEPS[1] - 2


def test_lanes_fixed_long_ago_keep_their_times_and_are_not_needed_for_those_of_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film, lanes = _Film(), _lanes(late_frames=0)
    tables: list[Timetable] = []
    ways: list[Trajectory] = []
    for looked_at in (100, ROW_LANES):
        monkeypatch.setattr(stage_so_far, "_TURNS_LOOKED_AT", looked_at)
        placer = Placer(_settings(REST_FRAMES * INTERVAL_S))
        assert placer.start(film, lanes[:ROW_LANES], least_links=2, longest_rest_s=np.inf)
        for lane in lanes[ROW_LANES:]:
            placer.fixed_count = placer.fixable().stop
            placer.add(film, [lane])
        tables.append(placer.stage.table)
        ways.append(placer.trajectory)
    by_all, by_few = tables
    # Of the glass at the ends of lanes one may have a frame more than the other.
    both = np.intersect1d(ways[0].frames, ways[1].frames)
    assert len(both) > 0.98 * max(len(way.frames) for way in ways)
    all_px, few_px = (way.positions[way.rows_of(both)] for way in ways)
    assert few_px == pytest.approx(all_px, abs=1.0)
    assert len(by_few.start_s) == len(by_few.told_s) == LANES
    assert by_few.start_s == pytest.approx(by_all.start_s, abs=INTERVAL_S / 4)
    assert by_few.end_s == pytest.approx(by_all.end_s, abs=INTERVAL_S / 4)

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.links import Link
from blurryscope.stitch.matching import (
    MatchedPairs,
    PatchSettings,
    PlacedDetail,
    match_frames,
    may_hold_a_patch,
)
from blurryscope.stitch.refine import measure_links
from blurryscope.stitch.solve import link_residuals
from blurryscope.stitch.trajectory import Trajectory
from tests.stitch.seen_by_camera import seen_by_camera

ROWS, COLUMNS = 120, 160
REDUCTION = 2
SPEED = 900.0
"""In pixels of the detail pictures per second."""
SETTINGS = PatchSettings()


@pytest.fixture(scope="module")
def slide() -> Grey:
    noise = np.random.default_rng(51).normal(size=(420, 700)).astype(np.float32)
    detail = cv2.blur(cv2.GaussianBlur(noise, (0, 0), 2), (15, 1))
    return np.asarray(0.1 * detail / detail.std(), np.float32)


def _showing(detail: Grey) -> Callable[[int], Grey]:
    return lambda _: detail


def _seen(slide: Grey, position: NDArray[np.float64], matrix: NDArray[np.float64]) -> Grey:
    cut = seen_by_camera(slide, position, matrix, (ROWS, COLUMNS), cv2.INTER_CUBIC)
    return np.asarray(cut, np.float32)


def _camera(angle_deg: float, readout_s: float) -> CameraModel:
    return CameraModel(scan_angle_rad=np.deg2rad(angle_deg), readout_s_per_row=readout_s)


@pytest.mark.parametrize("camera", [_camera(0, 0), _camera(94.4, 2.5e-4), _camera(1.5, 2e-4)])
@pytest.mark.parametrize("moved", [(0.0, 60.4), (88.3, -5.2)])
def test_links_join_points_that_show_the_same_spot(
    slide: Grey, camera: CameraModel, moved: tuple[float, float]
) -> None:
    """One lane onwards, or one lane down where the stage comes back."""
    velocities = np.array([[0, SPEED], [0, SPEED if moved[0] == 0 else -SPEED]])
    matrices = camera.frame_matrices(velocities)
    places = np.array([[150.0, 300.0], [150.0 + moved[0], 300.0 + moved[1]]])
    thought = places + np.array([[0, 0], [2.0, -6.0]])  # the first layout is that far off
    first, second = (
        PlacedDetail(
            frame=n, detail_of=_showing(_seen(slide, places[n], matrices[n])), position=thought[n],
            matrix=matrices[n],
        )
        for n in range(2)
    )  # fmt: skip
    links = match_frames(first, second, REDUCTION, SETTINGS)
    assert links
    for earlier, later, point_earlier, point_later, correlation in links:
        spots = [
            place + matrix @ np.array(point) / REDUCTION
            for place, matrix, point in zip(
                places, matrices, (point_earlier, point_later), strict=True
            )
        ]
        assert (earlier, later) == (0, 1)
        apart_y, apart_x = np.abs(spots[0] - spots[1])
        assert apart_y < 0.4
        assert apart_x < 0.8  # motion blur makes it the less certain one
        assert correlation > 0.8


def test_neighbours_of_a_lane_are_linked_by_what_they_show_in_mid_field_alone(slide: Grey) -> None:
    rows, middle = 240, 210.0
    is_shown = np.abs(np.arange(len(slide)) - middle) < rows / 4
    band = np.where(is_shown[:, None], slide, 0).astype(np.float32)
    first, second = (
        PlacedDetail(
            frame=n,
            detail_of=_showing(
                seen_by_camera(band, place, np.eye(2), (rows, 320), cv2.INTER_CUBIC)
            ),
            position=place,
            matrix=np.eye(2),
        )
        for n, place in enumerate(np.array([[middle, 300.0], [middle, 374.0]]))
    )
    links = match_frames(first, second, REDUCTION, SETTINGS)
    assert len(links) >= 4
    for _, _, earlier, later, _ in links:
        apart = (np.array(earlier) - later) / REDUCTION
        assert np.abs(apart - (0.0, 74.0)).max() < 0.3


@pytest.mark.parametrize("is_first_sharp", [True, False])
def test_a_frame_at_rest_is_found_again_in_one_that_the_stage_smears(is_first_sharp: bool) -> None:
    """Fine detail as it is filmed at rest; told nothing of the exposure, matching errs by more."""
    noise = np.random.default_rng(54).normal(size=(420, 700)).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.float32)
    sharp: Grey = np.asarray(0.1 * noise / noise.std(), np.float32)
    smeared: Grey = np.asarray(cv2.blur(sharp, (31, 1)), np.float32)
    slides = (sharp, smeared) if is_first_sharp else (smeared, sharp)
    blurs_px = (0.0, 31.0) if is_first_sharp else (31.0, 0.0)

    def off_px(blurs_px: tuple[float, float]) -> tuple[float, float]:
        """Root mean square error along x, and the least correlation."""
        wrong, correlations = [], []
        for y in range(80, 340, 20):
            first, second = (
                PlacedDetail(
                    frame=n, detail_of=_showing(_seen(slides[n], place, np.eye(2))), position=place,
                    matrix=np.eye(2), blur_px=blurs_px[n],
                )
                for n, place in enumerate(np.array([[y, 300.0], [y, 330.4]]))
            )  # fmt: skip
            for _, _, earlier, later, correlation in match_frames(
                first, second, REDUCTION, SETTINGS
            ):
                wrong.append((earlier[1] - later[1]) / REDUCTION - 30.4)
                correlations.append(correlation)
        return float(np.sqrt(np.mean(np.square(wrong)))), min(correlations)

    told_px, correlation = off_px(blurs_px)
    assert told_px < 0.3
    assert correlation > 0.9
    assert off_px((0.0, 0.0))[0] > 2 * told_px


def test_frames_that_do_not_overlap_have_no_links(slide: Grey) -> None:
    eye = np.eye(2)
    first, second = (
        PlacedDetail(
            frame=n, detail_of=_showing(_seen(slide, place, eye)), position=place, matrix=eye
        )
        for n, place in enumerate(np.array([[150.0, 150.0], [150.0, 400.0]]))
    )
    assert match_frames(first, second, REDUCTION, SETTINGS) == []


@pytest.mark.parametrize("slant_deg", [0.0, 30.0, 45.0])
def test_an_edge_without_texture_joins_nothing_since_it_fits_anywhere_along_itself(
    slide: Grey, slant_deg: float
) -> None:
    y, x = np.mgrid[:420, :700].astype(np.float32)
    slope = np.tan(np.deg2rad(slant_deg))
    edge = 0.1 * np.tanh((y - 210 - slope * (x - 350)) / 4).astype(np.float32)
    places = np.array([[210.0, 330.0], [210.0, 370.0]])
    thought = places + np.array([[0, 0], [2.0, -6.0]])

    def links(picture: Grey) -> list[Link]:
        noise = np.random.default_rng(52).normal(0, 1e-3, (2, ROWS, COLUMNS))
        first, second = (
            PlacedDetail(
                frame=n,
                detail_of=_showing(
                    _seen(picture, places[n], np.eye(2)) + noise[n].astype(np.float32)
                ),
                position=thought[n],
                matrix=np.eye(2),
            )
            for n in range(2)
        )
        return match_frames(first, second, REDUCTION, SETTINGS)

    assert not links(edge)
    assert links(np.asarray(edge + slide, np.float32))


def test_pale_tissue_is_found_again_beside_the_noise_of_glass(slide: Grey) -> None:
    rng = np.random.default_rng(57)
    pale = slide * np.float32(0.04)  # a standard deviation of 0.004
    places = np.array([[150.0, 300.0], [150.0, 340.0]])
    first, second = (
        PlacedDetail(
            frame=n,
            detail_of=_showing(
                _seen(pale, places[n], np.eye(2))
                + rng.normal(0, 0.001, (ROWS, COLUMNS)).astype(np.float32)
            ),
            position=places[n],
            matrix=np.eye(2),
        )
        for n in range(2)
    )
    links = match_frames(first, second, REDUCTION, SETTINGS)
    assert len(links) >= 2
    for _, _, earlier, later, _ in links:
        apart = (np.array(earlier) - later) / REDUCTION
        assert np.abs(apart - (0.0, 40.0)).max() < 0.8


def test_glass_is_not_matched() -> None:
    rng = np.random.default_rng(52)
    first, second = (
        PlacedDetail(
            frame=n,
            detail_of=_showing(rng.normal(0, 0.002, (ROWS, COLUMNS)).astype(np.float32)),
            position=np.array([150.0, 150.0 + 40 * n]),
            matrix=np.eye(2),
        )
        for n in range(2)
    )
    assert match_frames(first, second, REDUCTION, SETTINGS) == []


def test_the_noise_of_glass_is_not_looked_at_and_pale_tissue_is(slide: Grey) -> None:
    noise = np.random.default_rng(58).normal(0, 0.0035, (ROWS, COLUMNS)).astype(np.float32)
    pale = _seen(slide * np.float32(0.04), np.array([150.0, 300.0]), np.eye(2))
    assert not may_hold_a_patch(noise, SETTINGS)
    assert may_hold_a_patch(pale, SETTINGS)


def test_frames_are_linked_within_their_lane_and_with_the_lane_above(slide: Grey) -> None:
    camera = _camera(0, 0)
    x = 150 + 50.0 * np.arange(6)
    positions = np.concatenate(
        [np.stack([np.full(6, 120.0), x], 1), np.stack([np.full(6, 215.0), x[::-1] + 20], 1)]
    )
    frames = np.array([*range(6), *range(20, 26)])
    truth = Trajectory(
        frames=frames,
        lanes=np.repeat([0, 1], 6),
        times_s=np.asarray(frames / 30, np.float64),
        positions=positions * REDUCTION,
        camera=camera,
    )
    details = {
        int(frame): _seen(slide, position, np.eye(2))
        for frame, position in zip(frames, positions, strict=True)
    }
    outside = {10: details[0]}  # a frame of the rest between the lanes
    shown = [*range(6), *outside, *range(20, 26)]
    links = measure_links(shown, (details | outside).__getitem__, truth, REDUCTION, SETTINGS)
    lane_of = dict(zip(frames.tolist(), truth.lanes.tolist(), strict=True))
    across = [
        lane_of[e] != lane_of[x]
        for e, x in zip(links.earlier.tolist(), links.later.tolist(), strict=True)
    ]
    assert 10 not in {*links.earlier.tolist(), *links.later.tolist()}
    assert any(across)
    assert not all(across)
    assert np.abs(link_residuals(truth, links)).max() < 0.8


def test_a_second_look_makes_no_picture_of_frames_that_lie_where_they_did(slide: Grey) -> None:
    positions = np.stack([np.full(6, 120.0), 150.0 + 50.0 * np.arange(6)], axis=1)
    placed = Trajectory(
        frames=np.arange(6),
        lanes=np.zeros(6, np.int64),
        times_s=np.arange(6) / 30,
        positions=positions * REDUCTION,
        camera=_camera(0, 0),
    )
    asked: list[int] = []

    def detail_of(frame: int) -> Grey:
        asked.append(frame)
        return _seen(slide, positions[frame], np.eye(2))

    pairs = MatchedPairs()
    frames = list(range(6))
    first = measure_links(frames, detail_of, placed, REDUCTION, SETTINGS, pairs=pairs)
    assert set(asked) == set(frames)
    asked.clear()
    again = measure_links(frames, detail_of, placed, REDUCTION, SETTINGS, pairs=pairs)
    assert asked == [0]  # for its size
    np.testing.assert_array_equal(again.point_later, first.point_later)


def test_frames_where_the_stage_stood_are_linked_with_the_lane_below(slide: Grey) -> None:
    x = np.array([150.0, 200.0, 230.0, 230.4, 230.8, 280.0])
    below = np.array([290.0, 240.0, 190.0, 140.0])  # nearest to the ends of those at rest
    positions = np.concatenate(
        [np.stack([np.full(6, 120.0), x], 1), np.stack([np.full(4, 215.0), below], 1)]
    )
    frames = np.array([*range(6), *range(20, 24)])
    truth = Trajectory(
        frames=frames,
        lanes=np.repeat([0, 1], [6, 4]),
        times_s=np.asarray(frames / 30, np.float64),
        positions=positions * REDUCTION,
        camera=_camera(0, 0),
    )
    details = {
        int(frame): _seen(slide, position, np.eye(2))
        for frame, position in zip(frames, positions, strict=True)
    }
    links = measure_links(list(details), details.__getitem__, truth, REDUCTION, SETTINGS)
    assert set(range(6)) <= set(links.earlier[links.later >= 20].tolist())


def _steps_found(first: Grey, second: Grey) -> NDArray[np.float64]:
    """Steps along the lane that links tell where one of 50 is expected, pixels of the pictures."""
    trajectory = Trajectory(
        frames=np.arange(2),
        lanes=np.zeros(2, np.int64),
        times_s=np.array([0.0, 1 / 30]),
        positions=np.array([[120.0, 150.0], [120.0, 200.0]]) * REDUCTION,
        camera=_camera(0, 0),
    )
    links = measure_links([0, 1], [first, second].__getitem__, trajectory, REDUCTION, SETTINGS)
    return (links.point_earlier - links.point_later)[:, 1] / REDUCTION


@pytest.mark.parametrize("step", [16.0, 33.0, 97.0], ids=["stuck", "slow", "after a lost frame"])
def test_a_step_far_from_the_expected_one_is_found(slide: Grey, step: float) -> None:
    first, second = (_seen(slide, np.array([120.0, x]), np.eye(2)) for x in (150.0, 150.0 + step))
    found = _steps_found(first, second)
    assert len(found) > 0
    assert found == pytest.approx(np.full(len(found), step), abs=0.5)


@pytest.mark.parametrize(("moved", "is_found"), [(0, False), (12, True)])
def test_dirt_that_stands_is_no_step(moved: int, is_found: bool) -> None:
    speck = np.zeros((ROWS, COLUMNS), np.float32)
    cv2.circle(speck, (80, 60), 20, 0.2, -1)
    found = _steps_found(speck, np.roll(speck, -moved, axis=1))
    assert (len(found) > 0) == is_found


def _interpolated(detail: Grey, row: float, column: float) -> float:
    """Bilinear, 0 outside."""
    top, left = int(np.floor(row)), int(np.floor(column))
    value = 0.0
    for r, down in ((top, 1 - (row - top)), (top + 1, row - top)):
        for c, right in ((left, 1 - (column - left)), (left + 1, column - left)):
            if 0 <= r < detail.shape[0] and 0 <= c < detail.shape[1]:
                value += down * right * float(detail[r, c])
    return value


@pytest.mark.parametrize("corner", [(60, 70), (92, 100), (20, 30)])
def test_a_rectified_piece_is_what_each_pixel_alone_would_be(corner: tuple[int, int]) -> None:
    """Inside the field, across its rim, and across the rim of the box that holds it."""
    detail = np.random.default_rng(53).normal(size=(50, 70)).astype(np.float32)
    detail = np.asarray(cv2.GaussianBlur(detail, (0, 0), 2), np.float32)
    matrix = np.array([[0.97, -0.11], [0.14, 1.05]])
    placed = PlacedDetail(
        frame=0, detail_of=_showing(detail), position=np.array([80.3, 90.6]), matrix=matrix
    )
    piece = placed.rectified(*corner, 24, 32)
    inverse, centre = np.linalg.inv(matrix), np.array([24.5, 34.5])
    plain = np.array(
        [
            [
                _interpolated(
                    detail, *(inverse @ (np.array([corner[0] + r, corner[1] + c])
                              - placed.position) + centre)
                )
                for c in range(32)
            ]
            for r in range(24)
        ]
    )  # fmt: skip
    # OpenCV knows places between pixels to 1/32.
    assert np.abs(piece - plain).max() < 0.05 * detail.std()


def test_a_pair_is_matched_again_only_where_it_lies_elsewhere(slide: Grey) -> None:
    places = np.array([[150.0, 300.0], [150.0, 360.4]])
    first, second = (
        PlacedDetail(
            frame=n, detail_of=_showing(_seen(slide, place, np.eye(2))), position=place,
            matrix=np.eye(2),
        )
        for n, place in enumerate(places)
    )  # fmt: skip
    pairs = MatchedPairs()
    found = pairs.match(first, second, REDUCTION, SETTINGS)
    assert found == match_frames(first, second, REDUCTION, SETTINGS)
    nearly = replace(second, position=second.position + 1.5)
    assert pairs.match(first, nearly, REDUCTION, SETTINGS) is found
    farther = replace(second, position=second.position + np.array([0.0, 4.0]))
    tolerant = replace(SETTINGS, same_place_px=(2.0, 5.0))
    assert pairs.match(first, farther, REDUCTION, tolerant) is found
    assert pairs.match(first, farther, REDUCTION, SETTINGS) is not found
    elsewhere = replace(second, position=second.position + np.array([0.0, 400.0]))
    assert pairs.match(first, elsewhere, REDUCTION, tolerant) == []

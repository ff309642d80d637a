import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.strips import (
    ALONG_REDUCTION,
    OffsetSurface,
    Scoring,
    Strip,
    compare_near,
    compare_strips,
    lay_strip,
)
from tests.stitch.seen_by_camera import seen_by_camera

ROWS, COLUMNS = 60, 80
STEP_PX, FRAMES = 30, 10
STRAIGHT = CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0)


def scoring(least_rows: int) -> Scoring:
    return Scoring(noise_sigma=0.003, cell_px=24, least_rows=least_rows)


@pytest.fixture(scope="module")
def slide() -> Grey:
    """Detail of a slide, blurred along x, with blank glass in the middle."""
    noise = np.random.default_rng(31).normal(size=(220, 460)).astype(np.float32)
    detail = cv2.blur(cv2.GaussianBlur(noise, (0, 0), 2), (11, 1))
    detail = 0.05 * detail / detail.std()
    detail[:, 200:260] = 0
    return np.asarray(detail, np.float32)


def _positions(centre_row: float, left: float) -> NDArray[np.float64]:
    x = left + (COLUMNS - 1) / 2 + STEP_PX * np.arange(FRAMES)
    return np.stack([np.full(FRAMES, centre_row), x], axis=1)


def _frames(
    slide: Grey, positions: NDArray[np.float64], matrices: NDArray[np.float64]
) -> list[Grey]:
    """Cut from the slide what each frame sees."""
    return [
        np.asarray(seen_by_camera(slide, position, matrix, (ROWS, COLUMNS)), np.float32)
        for position, matrix in zip(positions, matrices, strict=True)
    ]


def _lane(
    slide: Grey, centre_row: float, left: float, camera: CameraModel, speed: float = 0.0
) -> tuple[list[Grey], NDArray[np.float64], NDArray[np.float64]]:
    positions = _positions(centre_row, left)
    matrices = camera.frame_matrices(np.tile([0.0, speed], (FRAMES, 1)))
    return _frames(slide, positions, matrices), positions, matrices


def _compared(first: Strip, second: Strip) -> tuple[float, float, float, float]:
    surface = compare_strips(first, second, scoring(4))
    return surface.best(40, 60)


def test_a_strip_shows_the_slide_where_its_frames_lay(slide: Grey) -> None:
    frames, positions, matrices = _lane(slide, 59.5, 20.0, STRAIGHT)
    strip = lay_strip(frames, positions, matrices)
    assert strip.origin == pytest.approx([30, 20])
    part = slide[30:90, 20 : 20 + 2 * strip.detail.shape[1] : 2]
    inside = np.s_[2:-2, 4:160]
    assert strip.detail[inside] == pytest.approx(part[inside], abs=0.02)
    assert (strip.detail[strip.weight == 0] == 0).all()


@pytest.mark.parametrize("wrong", [(0.0, 0.0), (7.0, -12.0), (-5.0, 20.0)])
def test_the_offset_of_two_lanes_is_what_their_overlap_says(
    slide: Grey, wrong: tuple[float, float]
) -> None:
    upper = lay_strip(*_lane(slide, 60, 20, STRAIGHT))
    frames, positions, matrices = _lane(slide, 100, 40, STRAIGHT)
    lower = lay_strip(frames, positions - np.array([40, 0]) - wrong, matrices)
    dy, dx, correlation, score = _compared(upper, lower)
    # Add it to a place in the second lane to have the place in the first lane's coordinates.
    assert (dy, dx) == pytest.approx((40 + wrong[0], wrong[1]), abs=2)
    assert correlation > 0.9
    assert score > 7


def test_sheared_lanes_agree_only_when_the_read_out_is_undone(slide: Grey) -> None:
    """Rows along the lanes: opposite directions shear the frames in opposite ways."""
    camera = CameraModel(scan_angle_rad=0.0, readout_s_per_row=5e-4)
    scores = []
    for assumed in (camera, STRAIGHT):
        strips = []
        for centre_row, speed in ((60, 600.0), (95, -600.0)):
            frames, positions, _ = _lane(slide, centre_row, 20, camera, speed)
            matrices = assumed.frame_matrices(np.tile([0.0, speed], (FRAMES, 1)))
            strips.append(lay_strip(frames, positions, matrices))
        surface = compare_strips(strips[0], strips[1], scoring(4))
        scores.append(surface.best(0, 3)[3])
    assert scores[0] > 1.5 * scores[1]


def test_lanes_over_blank_glass_say_nothing() -> None:
    rng = np.random.default_rng(32)
    strips = []
    for row in (60, 100):
        glass = rng.normal(0, 0.0005, (220, 460)).astype(np.float32)
        strips.append(lay_strip(*_lane(glass, row, 20, STRAIGHT)))
    assert _compared(*strips)[3] < 1


def test_an_overlap_of_fewer_rows_than_asked_for_scores_nothing(slide: Grey) -> None:
    strips = [lay_strip(*_lane(slide, row, 20, STRAIGHT)) for row in (60, 110)]
    narrow = compare_strips(strips[0], strips[1], scoring(20))
    assert narrow.best(0, 3)[3] < 7  # the ten rows they share are too few


@pytest.mark.parametrize(
    ("around", "reach"),
    [((40.0, 0.0), (6.0, 30.0)), ((33.0, -41.0), (4.0, 17.0)), ((-20.0, 120.0), (9.0, 60.0))],
)
def test_a_search_near_one_offset_finds_there_what_the_whole_search_finds(
    slide: Grey, around: tuple[float, float], reach: tuple[float, float]
) -> None:
    upper = lay_strip(*_lane(slide, 60, 20, STRAIGHT))
    frames, positions, matrices = _lane(slide, 100, 45, STRAIGHT)
    lower = lay_strip(frames[2:], positions[2:] - np.array([40, 3]), matrices[2:])
    whole = compare_strips(upper, lower, scoring(4))
    near = compare_near(upper, lower, scoring(4), around=around, reach=reach)
    assert near.dy_px.min() >= around[0] - reach[0]
    assert near.dx_px.max() <= around[1] + reach[1]
    assert len(near.dy_px) >= 2 * reach[0]
    assert len(near.dx_px) >= 2 * reach[1] / ALONG_REDUCTION - 1
    rows = [int(np.flatnonzero(whole.dy_px == dy)[0]) for dy in near.dy_px]
    columns = [int(np.flatnonzero(whole.dx_px == dx)[0]) for dx in near.dx_px]
    assert near.correlation == pytest.approx(whole.correlation[np.ix_(rows, columns)], abs=1e-3)
    # What counts as tissue goes by what can be reached: all scores differ by about one factor.
    wide = whole.score[np.ix_(rows, columns)]
    factor = float(near.score.max() / wide.max())
    assert near.score == pytest.approx(factor * wide, rel=0.05, abs=0.1)


def test_faint_tissue_counts_as_much_beside_a_dark_core_that_cannot_be_reached(
    slide: Grey,
) -> None:
    faint = slide * 0.1
    beside_dark = faint.copy()
    beside_dark[:, 260:] = slide[:, 260:]
    scores = []
    for lower_slide in (faint, beside_dark):
        frames, positions, matrices = _lane(faint, 60, 20, STRAIGHT)
        upper = lay_strip(frames[:3], positions[:3], matrices[:3])
        lower = lay_strip(*_lane(lower_slide, 80, 20, STRAIGHT))
        surface = compare_near(upper, lower, scoring(4), around=(0.0, 0.0), reach=(3.0, 20.0))
        scores.append(surface.best(0, 3)[3])
    assert scores[0] > 10
    assert scores[1] == pytest.approx(scores[0], rel=0.1)


def test_specks_of_dust_on_two_lanes_do_not_outweigh_the_tissue_that_both_show(
    slide: Grey,
) -> None:
    upper_slide, lower_slide = slide.copy(), slide.copy()
    for row, column in ((70, 120), (55, 170)):
        # Other specks lower down, as far from each other.
        cv2.circle(upper_slide, (column, row), 3, 1.5, -1)
        cv2.circle(lower_slide, (column + 90, row + 70), 3, 1.5, -1)
    upper = lay_strip(*_lane(upper_slide, 60, 20, STRAIGHT))
    frames, positions, matrices = _lane(lower_slide, 100, 20, STRAIGHT)
    lower = lay_strip(frames, positions - np.array([40, 0]), matrices)
    dy, dx, _, _ = compare_strips(upper, lower, scoring(4)).best(0, 60)
    assert (dy, dx) == pytest.approx((40, 0), abs=2)


def test_a_search_where_nothing_can_overlap_finds_nothing(slide: Grey) -> None:
    strips = [lay_strip(*_lane(slide, row, 20, STRAIGHT)) for row in (60, 100)]
    surface = compare_near(strips[0], strips[1], scoring(4), around=(500, 0), reach=(5, 5))
    assert surface.best(500, 5) == (500, 0, 0, 0)


def test_a_strip_can_be_laid_for_some_rows_only(slide: Grey) -> None:
    frames, positions, matrices = _lane(slide, 59.5, 20.0, STRAIGHT)
    whole = lay_strip(frames, positions, matrices)
    part = lay_strip(frames, positions, matrices, (41.3, 70.0))
    assert part.origin == pytest.approx([41, 20])
    assert part.bottom == 71
    assert part.detail == pytest.approx(whole.detail[11:41], abs=1e-5)
    nothing = lay_strip(frames, positions, matrices, (400, 500))
    assert nothing.detail.shape[0] == 1


def _plain_score(first: Strip, second: Strip, dy: int, dx: int) -> tuple[float, float]:
    """Score and correlation at one offset, pixel by pixel; dx in pixels of the strips."""
    product = energy_a = energy_b = common = 0.0
    for row in range(second.detail.shape[0]):
        for column in range(second.detail.shape[1]):
            r, c = row + dy, column + dx
            if not (0 <= r < first.detail.shape[0] and 0 <= c < first.detail.shape[1]):
                continue
            both = float(first.weight[r, c] * second.weight[row, column])
            a, b = float(first.detail[r, c]), float(second.detail[row, column])
            product += a * b
            energy_a += a * a * float(second.weight[row, column])
            energy_b += b * b * float(first.weight[r, c])
            common += both
    floor = 0.003**2 * common + 1e-9
    correlation = np.clip(product / np.sqrt((energy_a + floor) * (energy_b + floor)), 0, 0.999)
    strong = max(float((first.detail**2).mean()), float((second.detail**2).mean()), 0.003**2)
    cells = min(min(energy_a, energy_b) / strong, common) / 24
    return float(-0.5 * cells * np.log1p(-(correlation**2))), float(correlation)


def _small_strips(seed: int) -> tuple[Strip, Strip]:
    rng = np.random.default_rng(seed)
    strips = []
    for shape, origin in (((9, 14), (3.0, 10.0)), ((7, 12), (0.0, 4.0))):
        weight = (rng.random(shape) < 0.8).astype(np.float32)
        detail = rng.normal(0, 0.1, shape).astype(np.float32) * weight
        strips.append(Strip(detail=detail, weight=weight, origin=np.array(origin)))
    return strips[0], strips[1]


def test_every_offset_scores_what_a_plain_loop_over_the_overlap_says() -> None:
    first, second = _small_strips(33)
    surface = compare_strips(first, second, scoring(2))
    shift = first.origin - second.origin
    for row, dy in enumerate(surface.dy_px - int(shift[0])):
        for column, dx in enumerate((surface.dx_px - shift[1]) / ALONG_REDUCTION):
            if abs(dy) <= 5 and abs(dx) <= 8:
                score, correlation = _plain_score(first, second, int(dy), int(dx))
                assert surface.score[row, column] == pytest.approx(score, abs=1e-4)
                assert surface.correlation[row, column] == pytest.approx(correlation, abs=1e-4)


def _reach(strip: Strip) -> NDArray[np.float64]:
    """(y, x) from the first pixel to the last, in lane coordinates."""
    rows, columns = strip.detail.shape
    return np.array([rows - 1.0, ALONG_REDUCTION * (columns - 1.0)])


def test_turned_strips_have_the_turned_surface() -> None:
    upright = _small_strips(34)
    turned = [
        Strip(
            detail=np.ascontiguousarray(strip.detail[::-1, ::-1]),
            weight=np.ascontiguousarray(strip.weight[::-1, ::-1]),
            origin=-strip.origin - _reach(strip),
        )
        for strip in upright
    ]
    found, plain = (
        compare_strips(*pair, scoring=scoring(2)) for pair in (upright, (turned[0], turned[1]))
    )
    assert found.turned().best(0, 4) == pytest.approx(plain.best(0, 4), abs=1e-3)


def test_of_two_like_offsets_the_expected_one_is_best_and_far_better_evidence_still_wins() -> None:
    score = np.zeros((1, 41), np.float32)
    score[0, [5, 22]] = 60.0, 50.0
    surface = OffsetSurface(
        score=score,
        correlation=np.full_like(score, 0.5),
        dy_px=np.array([7]),
        dx_px=np.arange(-20.0, 21.0),
    )
    assert surface.best(7.0, 1.0)[:2] == (7.0, -15.0)
    assert surface.expecting(0.0, sigma_px=3.0).best(7.0, 1.0)[:2] == (7.0, 2.0)
    assert surface.expecting(0.0, sigma_px=30.0).best(7.0, 1.0)[:2] == (7.0, -15.0)
    assert surface.expecting(0.0, sigma_px=3.0).score.min() == 0

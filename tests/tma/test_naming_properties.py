"""Names belong to cores, whatever a scan does to them; where they cannot be known, that is said.

Slides are small: what is tested is counting, not seeing. JPEG of a quality below 40 makes one spot
of all cores of 20 pixels, some of the time.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.image import Rgb
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.picture import PlainPicture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of
from blurryscope.tma.toy_trials import judged, random_trial

SMALL = ToySlide(rows=3, columns=5, pitch_px=44.0, diameter_px=28.0, jitter_px=1.5, border_px=50.0)


def wrong_names(found: Dearrayed, slide: ToySlide, zoom: float = 1.0) -> list[str]:
    """Places that are told otherwise than they are; `zoom` is pixels of the picture by drawn."""
    by_name = {core.name: core for core in found.cores}
    wrong = []
    for name, (x, y) in slide.centres().items():
        core = by_name.get(name)
        is_gone = core is None or core.status is CoreStatus.MISSING
        if core is None or is_gone or str(name) in slide.missing:
            if is_gone != (str(name) in slide.missing):
                wrong.append(str(name))
            continue
        away = np.hypot((core.x_px + 0.5) / zoom - 0.5 - x, (core.y_px + 0.5) / zoom - 0.5 - y)
        if away > 0.3 * slide.diameter_px:
            wrong.append(str(name))
    return wrong


def named(rgb: Rgb, slide_map: SlideMap) -> Dearrayed:
    return find_cores(PlainPicture(rgb), slide_map, TmaSettings())


@settings(max_examples=7, deadline=None)
@given(
    tilt_deg=st.floats(-15, 15),
    zoom=st.floats(0.6, 2.5),
    border_px=st.floats(25, 120),
    blur=st.sampled_from([(1, 1), (5, 1), (1, 5), (9, 1)]),
    quality=st.integers(50, 95),
    lost=st.sampled_from([str(name) for name in SMALL.names()]),
)
def test_turn_scale_shift_blur_jpeg_and_a_loss_change_no_name(
    tilt_deg: float, zoom: float, border_px: float, blur: tuple[int, int], quality: int, lost: str
) -> None:
    slide = replace(SMALL, tilt_deg=tilt_deg, border_px=border_px, missing=frozenset({lost}))
    drawn = cv2.blur(slide.draw(), blur)
    scaled = cv2.resize(drawn, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    found = named(np.asarray(decoded, np.uint8), slide.map())
    assert not wrong_names(found, slide, scaled.shape[1] / drawn.shape[1])


@pytest.mark.parametrize(("rows", "columns"), [(1, 7), (6, 1), (2, 2)])
def test_single_rows_single_columns_and_two_by_two_are_arrays(rows: int, columns: int) -> None:
    slide = replace(SMALL, rows=rows, columns=columns)
    assert not wrong_names(named(slide.draw(), slide.map()), slide)


@pytest.mark.parametrize(("rows", "columns"), [(15, 17), (16, 16)])
def test_the_count_goes_on_beyond_255(rows: int, columns: int) -> None:
    slide = replace(SMALL, rows=rows, columns=columns, pitch_px=24.0, diameter_px=15.0)
    found = named(slide.draw(), slide.map())
    assert len(found.cores) == rows * columns
    assert not wrong_names(found, slide)


@pytest.mark.slow
def test_a_thousand_cores_are_named() -> None:
    slide = replace(
        SMALL,
        rows=25,
        columns=40,
        pitch_px=24.0,
        diameter_px=15.0,
        missing=frozenset({"C7", "Y40"}),
    )
    found = named(slide.draw(), slide.map())
    assert len(found.cores) == 1000
    assert not wrong_names(found, slide)


def test_a_block_of_which_every_core_is_lost_is_never_named_silently() -> None:
    """The right half of the array came off; nothing tells it from the left one."""
    gone = frozenset(str(name) for name in SMALL.names() if name.column >= 3)
    slide = replace(SMALL, columns=6, missing=gone | {f"{row}6" for row in "ABC"})
    found = named(slide.draw(), slide.map())
    assert found.grid.needs_confirmation


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), column=st.sampled_from([0, 4]))
def test_dust_on_the_outer_columns_is_no_core(seed: int, column: int) -> None:
    """Specks lie in and outside an outer column; the window of names must not slip onto them."""
    slide = replace(SMALL, seed=seed % 7, missing=frozenset({"B1", "B5"}))
    rgb = slide.draw()
    rng = np.random.default_rng(seed)
    x = slide.centres()[CoreName(0, column)][0] + (-1 if column == 0 else 1) * 0.9 * slide.pitch_px
    for y in rng.uniform(20, len(rgb) - 20, 12):
        at = (int(x + rng.uniform(-9, 9)), int(y))
        cv2.circle(rgb, at, int(rng.integers(1, 5)), (70, 66, 60), -1)
    assert not wrong_names(named(rgb, slide.map()), slide)


def test_a_map_with_one_row_too_many_or_two_columns_swapped_is_noticed() -> None:
    empty = {"A2", "B4", "C3"}
    slide = replace(SMALL, missing=frozenset(empty))
    listed = [name for name in slide.names() if str(name) not in empty]
    row_more = map_of(str(CoreName(n.row + int(n.row >= 1), n.column)) for n in listed)
    swap = {1: 3, 3: 1}
    swapped = map_of(str(CoreName(n.row, swap.get(n.column, n.column))) for n in listed)
    assert not named(slide.draw(), map_of(map(str, listed))).grid.needs_confirmation
    for wrong in (row_more, swapped):
        assert named(slide.draw(), wrong).grid.needs_confirmation


@pytest.mark.slow
@pytest.mark.parametrize("first", [1000, 1100, 1200])
def test_damaged_slides_of_random_design_hold_no_silent_error(first: int) -> None:
    verdicts = []
    for seed in range(first, first + 7):
        trial = random_trial(seed)
        verdicts.append(judged(trial, find_cores(trial.picture, trial.slide_map, trial.settings)))
    assert not any(verdict.is_silent_error for verdict in verdicts)
    assert sum(verdict.is_asked for verdict in verdicts) <= 2

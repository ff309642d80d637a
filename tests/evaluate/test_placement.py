import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, StageState
from blurryscope.artifacts.tissue_cores import CoreStatus, PlaceSource, TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.evaluate.placement import (
    AUTHENTIC_LIMITS,
    PLAIN_LIMITS,
    SOUND_LIMITS,
    Truth,
    broken_limits,
    measure_cores,
    measure_placement,
    read_truth,
    rigid_fit,
    slide_fit,
)

PIXEL_UM = 1.12
CORES = [("A1", 3, False), ("A2", 0, False), ("B1", 1, True), ("B2", 2, False)]


@pytest.fixture
def truth_file(tmp_path: Path) -> Path:
    """Four cores, 1500 µm apart, under ten lanes in alternate directions."""
    frames: list[tuple[float, float, int]] = []
    for lane in range(10):
        across_um = 300.0 + 330.0 * lane
        frames += [(300.0, across_um, -1)] * 3
        along_um = 300.0 + 160.0 * np.arange(20)
        along_um = along_um if lane % 2 == 0 else along_um[::-1]
        frames += [(float(x), across_um, lane) for x in along_um]
    truth = {
        "px_um": PIXEL_UM,
        "field_px": [480, 640],
        "frames": frames,
        "geometry": {"core_um": 1000.0, "pitch_um": 1500.0},
        "cores": [
            {
                "row": CoreName.parse(name).row,
                "col": CoreName.parse(name).column,
                "x_um": 1000.0 + 1500.0 * CoreName.parse(name).column,
                "y_um": 1000.0 + 1500.0 * CoreName.parse(name).row,
                "score": score,
                "missing": missing,
            }
            for name, score, missing in CORES
        ],
        "fps": 30.0,
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    return path


@pytest.fixture
def truth(truth_file: Path) -> Truth:
    return read_truth(truth_file)


def _turned(points: NDArray[np.float64], angle_deg: float) -> NDArray[np.float64]:
    sine, cosine = np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))
    return np.asarray(points @ np.array([[cosine, -sine], [sine, cosine]]).T + (4000.0, 3700.0))


def _places(truth: Truth, angle_deg: float = 0.0) -> list[FramePlace]:
    centres = _turned(truth.centres_px, angle_deg)
    return [
        FramePlace(
            frame=frame,
            time_s=frame / 30,
            state=StageState.MOVING if lane >= 0 else StageState.RESTING,
            lane=int(lane),
            x_px=float(centre[0]) if lane >= 0 else None,
            y_px=float(centre[1]) if lane >= 0 else None,
            confidence=1.0,
        )
        for frame, (centre, lane) in enumerate(zip(centres, truth.lanes, strict=True))
    ]


def _cores(truth: Truth, angle_deg: float = 0.0) -> dict[str, TissueCore]:
    found = {}
    for core in truth.cores:
        x, y = _turned(core.centre_px, angle_deg)
        found[str(core.name)] = TissueCore(
            name=core.name,
            x_px=float(x),
            y_px=float(y),
            diameter_px=truth.core_diameter_px,
            status=CoreStatus.MISSING if core.is_missing else CoreStatus.OK,
            tissue_fraction=0.0 if core.is_missing else 0.9,
            focus=0.5,
            confidence=0.9,
            label=core.score,
            source=PlaceSource.AUTO,
        )
    return found


@pytest.mark.parametrize("angle_deg", [0.0, 180.0, -179.7, 0.4])
def test_a_faultless_slide_has_no_error_however_it_is_turned(
    truth: Truth, angle_deg: float
) -> None:
    places = _places(truth, angle_deg)
    figures = measure_placement(places, truth)
    cores = measure_cores(list(_cores(truth, angle_deg).values()), truth, slide_fit(places, truth))
    assert figures.turn_deg == pytest.approx(angle_deg) or abs(angle_deg) == 180
    assert figures.right_lane_fraction == 1.0
    assert figures.within_cores.ninety_five_px == pytest.approx(0, abs=1e-6)
    assert figures.at_rims.count > 0
    assert figures.at_rims.ninety_five_px == pytest.approx(0, abs=1e-6)
    assert figures.over_slide.ninety_five_px == pytest.approx(0, abs=1e-6)
    assert cores.found == ("A1", "A2", "B2")
    assert cores.told_missing == ("B1",)
    assert broken_limits(figures, cores, PLAIN_LIMITS) == []


def test_a_small_turn_left_in_shows_only_where_it_is_said_to(truth: Truth) -> None:
    figures = measure_placement(_places(truth, 0.4), truth)
    assert figures.within_cores.median_px < 1e-6
    assert figures.within_cores_unturned.median_px > 1.0


def test_a_core_that_lies_elsewhere_as_a_whole_is_an_error_of_the_slide_only(
    truth: Truth,
) -> None:
    away = np.hypot(*(truth.centres_px - truth.cores[0].centre_px).T)
    in_core = away < truth.core_diameter_px / 2
    places = [
        replace(place, x_px=place.x_px + 40) if moved and place.x_px is not None else place
        for place, moved in zip(_places(truth), in_core, strict=True)
    ]
    figures = measure_placement(places, truth)
    assert figures.within_cores.ninety_five_px < 1e-6
    assert figures.over_slide.ninety_five_px > 20
    assert broken_limits(figures, None, SOUND_LIMITS) == []
    broken = broken_limits(figures, None, AUTHENTIC_LIMITS)
    assert [limit.rsplit(" px", 1)[0].rsplit(" ", 1)[0] for limit in broken] == [
        "95 % over the slide"
    ]


def test_a_torn_core_leaves_the_others_unturned(truth: Truth) -> None:
    core = truth.cores[0]
    away = truth.centres_px - core.centre_px
    torn = (np.hypot(*away.T) < truth.core_diameter_px / 2) & (away[:, 1] > 0)
    places = [
        replace(place, x_px=place.x_px + 150) if moved and place.x_px is not None else place
        for place, moved in zip(_places(truth), torn, strict=True)
    ]
    figures = measure_placement(places, truth)
    by_core = {core.core: core.errors for core in figures.each_core}
    assert by_core["A1"].median_px > 40
    assert by_core["A2"].ninety_five_px < 0.2
    assert figures.turn_deg == pytest.approx(0, abs=0.02)


def test_a_rim_that_is_torn_off_shows_though_no_centre_of_a_frame_lies_in_the_core(
    truth: Truth,
) -> None:
    cores = [core for core in truth.cores if not core.is_missing]
    away = np.min([np.hypot(*(truth.centres_px - core.centre_px).T) for core in cores], axis=0)
    is_beside = (away >= truth.core_diameter_px / 2) & (truth.lanes >= 0)
    places = [
        replace(place, x_px=place.x_px + 100) if moved and place.x_px is not None else place
        for place, moved in zip(_places(truth), is_beside, strict=True)
    ]
    figures = measure_placement(places, truth)
    assert figures.within_cores.ninety_five_px < 1e-6
    assert figures.at_rims.median_px == pytest.approx(100)


def test_frames_that_jitter_have_the_error_that_they_were_given(truth: Truth) -> None:
    rng = np.random.default_rng(5)
    places = [
        place
        if place.x_px is None or place.y_px is None
        else replace(place, x_px=place.x_px + rng.normal(0, 4), y_px=place.y_px + rng.normal(0, 4))
        for place in _places(truth)
    ]
    figures = measure_placement(places, truth)
    # The median of a Rayleigh distribution, less what the translation takes away.
    assert figures.within_cores.median_px == pytest.approx(4 * 1.18, rel=0.25)
    assert [limit.split(" within")[0] for limit in broken_limits(figures, None, SOUND_LIMITS)] == [
        "median",
        "95 %",
    ]


def test_a_frame_that_was_not_placed_is_infinitely_far(truth: Truth) -> None:
    away = np.hypot(*(truth.centres_px - truth.cores[0].centre_px).T)
    lost = np.flatnonzero((away < truth.core_diameter_px / 2) & (truth.lanes >= 0))
    places = _places(truth)
    for frame in lost.tolist():
        places[frame] = replace(places[frame], x_px=None, y_px=None, lane=-1)
    figures = measure_placement(places, truth)
    by_core = {core.core: core.errors for core in figures.each_core}
    assert by_core["A1"].median_px == np.inf
    assert by_core["A2"].median_px < 1e-6
    assert figures.within_cores.ninety_five_px == np.inf
    assert figures.right_lane_fraction == pytest.approx(1 - len(lost) / figures.moving_count)
    assert broken_limits(figures, None, SOUND_LIMITS)[0].endswith("in their lane, at least 95.0 %")


def test_a_missing_core_has_no_frames_to_be_judged(truth: Truth) -> None:
    figures = measure_placement(_places(truth), truth)
    assert [core.core for core in figures.each_core] == ["A1", "A2", "B2"]


def test_cores_lost_misplaced_misnamed_or_invented_are_told(truth: Truth) -> None:
    places = _places(truth)
    cores = _cores(truth)
    quarter = truth.core_diameter_px / 4
    cores["A1"] = replace(cores["A1"], x_px=cores["A1"].x_px + quarter + 1)
    cores["A2"] = replace(cores["A2"], label=Score.THREE)
    cores["B1"] = replace(cores["B1"], status=CoreStatus.UNSURE)
    figures = measure_cores(list(cores.values()), truth, slide_fit(places, truth))
    assert figures.lost == ("A1", "A2")
    assert figures.told_missing == ()
    assert figures.invented == ("B1",)
    broken = broken_limits(measure_placement(places, truth), figures, PLAIN_LIMITS)
    assert broken == [
        "cores not found: A1, A2",
        "1 missing cores not told",
        "cores that are not there: B1",
    ]


def test_a_core_just_within_a_quarter_of_its_diameter_is_found(truth: Truth) -> None:
    cores = _cores(truth)
    quarter = truth.core_diameter_px / 4
    cores["A1"] = replace(cores["A1"], y_px=cores["A1"].y_px - quarter + 1)
    figures = measure_cores(list(cores.values()), truth, slide_fit(_places(truth), truth))
    assert figures.lost == ()


@given(
    st.floats(-np.pi + 0.01, np.pi - 0.01),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
    st.integers(0, 1000),
)
def test_a_rigid_fit_recovers_turn_and_shift(
    angle_rad: float, shift: tuple[float, float], seed: int
) -> None:
    points = np.random.default_rng(seed).uniform(0, 5000, (12, 2))
    sine, cosine = np.sin(angle_rad), np.cos(angle_rad)
    fit = rigid_fit(points, points @ np.array([[cosine, -sine], [sine, cosine]]).T + shift)
    assert fit.angle_rad == pytest.approx(angle_rad, abs=1e-9)
    assert fit.shift_px == pytest.approx(shift, abs=1e-4)


def test_another_films_places_are_refused(truth: Truth) -> None:
    with pytest.raises(ValueError, match="230 frames of the truth, got 229"):
        measure_placement(_places(truth)[:-1], truth)


def test_places_without_tissue_cannot_be_compared(truth: Truth) -> None:
    places = [replace(place, x_px=None, y_px=None) for place in _places(truth)]
    with pytest.raises(ValueError, match="at least 2 frames with tissue"):
        measure_placement(places, truth)


def test_a_truth_that_cannot_be_read_is_named(truth_file: Path) -> None:
    stored = json.loads(truth_file.read_text(encoding="utf-8"))
    stored["cores"][1]["score"] = 7
    truth_file.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(InputError, match=r"cores 2, score: should be"):
        read_truth(truth_file)
    with pytest.raises(MissingInputError):
        read_truth(truth_file.with_name("none.json"))

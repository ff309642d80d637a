import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.artifacts.mosaic import Mosaic, MosaicWriter
from blurryscope.artifacts.slide_map import MapEntry, Presence, SlideMap, read_slide_map
from blurryscope.artifacts.tissue_cores import CoreStatus, PlaceSource
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture, open_slide
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of


def wrong_cores(found: Dearrayed, slide: ToySlide) -> list[str]:
    """Cores that are not where they should be, or whose loss was not told."""
    by_name = {core.name: core for core in found.cores}
    wrong = []
    for name, (x, y) in slide.centres().items():
        core = by_name[name]
        is_lost = str(name) in slide.missing
        away = np.hypot(core.x_px - 2 * x, core.y_px - 2 * y)
        told_lost = core.status is CoreStatus.MISSING
        if told_lost != is_lost or (not is_lost and away > 0.25 * 2 * slide.diameter_px):
            wrong.append(f"{name} {core.status} {away:.0f}")
    return wrong


@settings(max_examples=6, deadline=None)
@given(
    tilt_deg=st.floats(-15, 15),
    lost=st.sets(st.sampled_from([f"{r}{c}" for r in "ABCD" for c in "12345"]), max_size=4),
    strength=st.floats(0.35, 3.0),
    seed=st.integers(0, 99),
)
def test_names_do_not_depend_on_tilt_stain_or_losses(
    tilt_deg: float, lost: set[str], strength: float, seed: int
) -> None:
    slide = ToySlide(
        rows=4, columns=5, tilt_deg=tilt_deg, missing=frozenset(lost), strength=strength, seed=seed
    )
    found = find_cores(slide.picture(), slide.map(), TmaSettings())
    assert found.grid.needs_confirmation or not wrong_cores(found, slide)


def test_lost_corner_cores_are_told_and_shift_nothing() -> None:
    slide = ToySlide(rows=3, columns=4, missing=frozenset({"A1", "B2"}))
    found = find_cores(slide.picture(), slide.map(), TmaSettings())
    assert not wrong_cores(found, slide)
    assert not found.grid.needs_confirmation
    lost = {str(c.name): c.source for c in found.cores if c.status is CoreStatus.MISSING}
    assert lost == {"A1": PlaceSource.PREDICTED, "B2": PlaceSource.PREDICTED}


def test_a_lost_outer_row_is_asked_about() -> None:
    slide = ToySlide(rows=4, columns=5, missing=frozenset(f"A{n}" for n in range(1, 6)))
    found = find_cores(slide.picture(), slide.map(), TmaSettings())
    assert found.grid.needs_confirmation
    assert found.grid.placement_margin < 5
    assert "1 row" in found.grid.reasons[0]


def test_a_persons_answer_moves_the_names_and_ends_the_asking() -> None:
    slide = ToySlide(rows=4, columns=5, missing=frozenset(f"A{n}" for n in range(1, 6)))
    asked = find_cores(slide.picture(), slide.map(), TmaSettings())
    top = {str(core.name) for core in asked.cores if core.status is CoreStatus.MISSING}
    move = 0 if "A1" in top else 1
    answered = find_cores(slide.picture(), slide.map(), TmaSettings(place=(-move, 0)))
    moved = find_cores(slide.picture(), slide.map(), TmaSettings(place=(1 - 2 * move, 0)))
    assert not answered.grid.needs_confirmation
    assert answered.grid.confirmed_by_hand
    assert (not wrong_cores(answered, slide)) != (not wrong_cores(moved, slide))


def test_an_answer_that_leaves_no_names_is_refused() -> None:
    slide = ToySlide(rows=3, columns=4)
    with pytest.raises(InputError, match="--place"):
        find_cores(slide.picture(), slide.map(), TmaSettings(place=(3, 0)))


def test_known_empty_places_prove_a_placement_with_a_lost_outer_row() -> None:
    slide = ToySlide(
        rows=4, columns=5, missing=frozenset({"A1", "A2", "A3", "A4", "A5", "B3", "C2"})
    )
    listed = [str(n) for n in slide.names() if str(n) not in {"B3", "C2"}]
    found = find_cores(slide.picture(), map_of(listed), TmaSettings())
    assert not found.grid.needs_confirmation
    lost = {str(core.name) for core in found.cores if core.status is CoreStatus.MISSING}
    assert lost == {f"A{n}" for n in range(1, 6)}


def test_stain_picks_a_placement_but_does_not_make_it_certain() -> None:
    lost_row = frozenset(f"D{n}" for n in range(1, 6))
    brown = frozenset({"A1", "B4", "B5", "C2"})
    slide = ToySlide(rows=4, columns=5, missing=lost_row, brown=brown)
    scores = {str(n): Score.THREE if str(n) in brown else Score.ZERO for n in slide.names()}
    found = find_cores(slide.picture(), slide.map(**scores), TmaSettings())
    assert not wrong_cores(found, slide)
    assert found.grid.needs_confirmation
    assert "brown stain" in found.grid.reasons[0]


def test_a_slide_put_in_upside_down_raises_an_alarm_by_its_stain() -> None:
    brown = frozenset({"A1", "A2", "B1", "C1"})
    slide = ToySlide(rows=3, columns=4, brown=brown)
    scores = {str(n): Score.THREE if str(n) in brown else Score.ZERO for n in slide.names()}
    turned = PlainPicture(np.ascontiguousarray(np.rot90(slide.picture().read_level(0), 2)), 10.0)
    found = find_cores(turned, slide.map(**scores), TmaSettings())
    assert any("turned-180" in reason for reason in found.grid.reasons)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_an_empty_corner_tells_how_the_array_was_turned(turns: int) -> None:
    """`turns` quarter turns clockwise, as seen."""
    empty = {"A4", "A5", "B5"}
    slide = ToySlide(rows=4, columns=5, missing=frozenset(empty))
    listed = [str(name) for name in slide.names() if str(name) not in empty]
    upright = slide.picture().read_level(0)
    turned = PlainPicture(np.ascontiguousarray(np.rot90(upright, -turns)), 10.0)
    found = find_cores(turned, map_of(listed), TmaSettings(orientation=None))
    wanted = list(Orientation)[turns]
    assert found.grid.orientation == wanted
    assert not found.grid.needs_confirmation
    a1 = next(core for core in found.cores if core.name == CoreName(0, 0))
    x, y = 2 * slide.centres()[CoreName(0, 0)]
    height, width = upright.shape[:2]
    where = [(x, y), (height - y, x), (width - x, height - y), (y, width - x)][turns]
    assert np.hypot(a1.x_px - where[0], a1.y_px - where[1]) < 0.25 * 2 * slide.diameter_px


def test_another_slides_map_is_noticed() -> None:
    slide = ToySlide(rows=4, columns=5, missing=frozenset({"B2", "C4", "D5"}))
    listed = [str(n) for n in slide.names() if str(n) not in {"A3", "C1", "D4"}]
    assert find_cores(slide.picture(), map_of(listed), TmaSettings()).grid.needs_confirmation


def test_a_map_that_starts_at_row_b_is_asked_about() -> None:
    slide = ToySlide(rows=3, columns=4)
    one_row_too_many = [f"{row}{column}" for row in "BCD" for column in range(1, 5)]
    found = find_cores(slide.picture(), map_of(one_row_too_many), TmaSettings())
    assert any("row A" in reason for reason in found.grid.reasons)


@pytest.mark.parametrize("listed", [["A1"], ["A1", "A2"]])
def test_a_map_of_a_few_cores_is_not_laid_on_many(listed: list[str]) -> None:
    with pytest.raises(InputError, match="cover too few of the cores seen"):
        find_cores(ToySlide(rows=3, columns=4).picture(), map_of(listed), TmaSettings())


def test_a_map_with_more_rows_than_the_slide_is_refused() -> None:
    slide = ToySlide(rows=3, columns=4)
    larger = ToySlide(rows=6, columns=4).map()
    with pytest.raises(InputError, match="6 rows and 4 columns, but the scan has room for"):
        find_cores(slide.picture(), larger, TmaSettings())


def test_a_map_that_has_no_room_as_it_is_said_to_be_turned_is_told_so() -> None:
    slide = ToySlide(rows=2, columns=6)
    turned = TmaSettings(orientation=Orientation.TURNED_90)
    told = (
        r"2 rows and 6 columns \(6 rows and 2 columns in the scan if turned-90\), but the scan has"
    )
    with pytest.raises(InputError, match=told):
        find_cores(slide.picture(), slide.map(), turned)


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_bare_glass_is_refused(noise: float) -> None:
    glass = 230 + noise * np.random.default_rng(0).normal(size=(700, 900, 3))
    with pytest.raises(InputError, match="no tissue"):
        find_cores(PlainPicture(to_uint8(glass), 10.0), None, TmaSettings())


def test_without_a_map_names_count_what_is_seen_and_say_so() -> None:
    slide = ToySlide(rows=3, columns=4, missing=frozenset({"B2"}))
    found = find_cores(slide.picture(), None, TmaSettings())
    assert {core.source for core in found.cores} == {PlaceSource.INFERRED}
    assert len(found.cores) == 11
    assert found.grid.names_from == "grid"
    assert found.grid.needs_confirmation


def test_a_core_cut_by_the_edge_of_the_scan_is_told() -> None:
    slide = ToySlide(rows=3, columns=4)
    rgb = slide.picture().read_level(0).copy()
    x, _ = 2 * slide.centres()[CoreName(0, 3)]
    rgb[:, int(x) + 25 :] = 0
    found = find_cores(PlainPicture(rgb, 10.0), slide.map(), TmaSettings())
    cut = {str(core.name) for core in found.cores if core.status is CoreStatus.EDGE_CUT}
    assert cut == {"A4", "B4", "C4"}


def test_cores_beyond_the_scan_are_not_called_missing() -> None:
    slide = ToySlide(rows=3, columns=4)
    rgb = slide.picture().read_level(0).copy()
    x, _ = 2 * slide.centres()[CoreName(0, 3)]
    rgb[:, int(x) - 75 :] = 0
    found = find_cores(PlainPicture(rgb, 10.0), slide.map(), TmaSettings())
    unknown = {str(core.name) for core in found.cores if core.status is CoreStatus.NOT_SCANNED}
    assert unknown == {"A4", "B4", "C4"}
    assert not any(core.status is CoreStatus.MISSING for core in found.cores)


def test_half_a_core_is_partial() -> None:
    slide = ToySlide(rows=3, columns=4)
    rgb = slide.picture().read_level(0).copy()
    x, y = (2 * slide.centres()[CoreName(1, 1)]).astype(int)
    rgb[y - 60 : y + 60, x : x + 60] = 238, 236, 229
    found = find_cores(PlainPicture(rgb, 10.0), slide.map(), TmaSettings())
    status = {str(core.name): core.status for core in found.cores}
    assert status.pop("B2") is CoreStatus.PARTIAL
    assert set(status.values()) == {CoreStatus.OK}


def blurred_and_unevenly_lit(slide: Rgb, px_um: float) -> Rgb:
    """As a stitched scan: blur along x by 39 µm, shading left over in every lane, noise, jumps."""
    blurred = cv2.blur(slide, (max(int(39 / px_um), 1), 1)).astype(np.float32)
    lane_px = 450 / px_um
    across = (np.arange(len(slide)) % lane_px) / lane_px - 0.5
    light = (1.0 - 0.06 * across**2) * (1.0 + 0.01 * ((np.arange(len(slide)) // lane_px) % 2))
    noise = np.random.default_rng(0).normal(0, 1.5, slide.shape).astype(np.float32)
    return to_uint8(blurred * light[:, None, None].astype(np.float32) + noise)


@pytest.mark.parametrize("name", ["plain", "hard", "lost"])
def test_blurred_mosaics_of_the_shared_slides_are_named_right(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    folder = shared_data / "scans" / name
    truth = json.loads((folder / "truth.json").read_text())
    px_um = 4 * truth["px_um"]  # a quarter of the resolution: fast, and all that naming looks at
    slide = cv2.imread(str(folder / "slide.jpg"), cv2.IMREAD_REDUCED_COLOR_4)
    assert slide is not None
    mosaic = blurred_and_unevenly_lit(np.asarray(slide[..., ::-1], np.uint8), px_um)
    with MosaicWriter(tmp_path / "mosaic.ome.zarr", mosaic.shape[:2], px_um) as writer:
        writer.write_rows(mosaic)
    found = find_cores(
        Mosaic(tmp_path / "mosaic.ome.zarr"), read_slide_map(folder / "map.csv"), TmaSettings()
    )
    by_name = {core.name: core for core in found.cores}
    for core in truth["cores"]:
        mine = by_name[CoreName(core["row"], core["col"])]
        assert (mine.status is CoreStatus.MISSING) == core["missing"], (mine, core)
        away = np.hypot(mine.x_px * px_um - core["x_um"], mine.y_px * px_um - core["y_um"])
        assert core["missing"] or away < 0.25 * truth["geometry"]["core_um"]
    assert not found.grid.needs_confirmation


_MORE = [pytest.param(f"ABC_{n}_1_009_1", marks=pytest.mark.slow) for n in ("096", "100")]


@pytest.mark.parametrize("slide", ["158867", "ABC_103_1_009_1", "ABC_106_1_010_1", *_MORE])
def test_real_arrays_are_named_right(shared_data: Path, slide: str) -> None:
    folder = shared_data / "tma-overviews"
    with (folder / f"{slide}.grid.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    entry = MapEntry(score=None, case=None, presence=Presence.UNSCORED)
    lab_map = SlideMap(slide=None, entries={CoreName.parse(row["core"]): entry for row in rows})
    found = find_cores(open_slide(folder / f"{slide}.png"), lab_map, TmaSettings())
    by_name = {core.name: core for core in found.cores}
    right = 0
    for row in rows:
        core = by_name[CoreName.parse(row["core"])]
        away = np.hypot(core.x_px - float(row["x"]), core.y_px - float(row["y"]))
        right += core.status is not CoreStatus.MISSING and away < 0.75 * float(row["radius"])
    assert right >= 0.98 * len(rows)

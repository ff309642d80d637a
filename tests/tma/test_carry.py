"""Names carried to a repeat must not depend on how it lies, nor on what the map could prove."""

import numpy as np
import pytest

from blurryscope.artifacts.tissue_cores import CoreStatus, PlaceSource
from blurryscope.basics.core_name import CoreName
from blurryscope.tma.carry import carry_names
from blurryscope.tma.find import find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture
from blurryscope.tma.recognise import NamedScan, recognise
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide

SLIDE = ToySlide(rows=3, columns=4, missing=frozenset({"A1", "A2", "A3", "A4", "C2"}), tilt_deg=2)
"""A whole row is lost: the map alone cannot prove which."""


@pytest.fixture(scope="module")
def confirmed() -> NamedScan:
    picture = SLIDE.picture()
    asked = find_cores(picture, SLIDE.map(), TmaSettings())
    lost_rows = {core.name.row for core in asked.cores if core.status is CoreStatus.MISSING}
    place = (0, 0) if 0 in lost_rows and 2 in lost_rows else (-1, 0)
    found = find_cores(picture, SLIDE.map(), TmaSettings(place=place))
    if CoreStatus.MISSING not in {core.status for core in found.cores if core.name.row == 0}:
        found = find_cores(picture, SLIDE.map(), TmaSettings(place=(1, 0)))
    return NamedScan(picture=picture, cores=found.cores, grid=found.grid)


def laid_again(quarter_turns: int) -> PlainPicture:
    """The slide scanned again: turned, a little shifted, noisier."""
    rgb = np.rot90(SLIDE.picture().read_level(0), -quarter_turns)
    framed = np.pad(rgb, ((31, 12), (8, 45), (0, 0)), mode="edge").astype(int)
    noise = np.random.default_rng(quarter_turns).normal(0, 2, framed.shape)
    return PlainPicture(np.clip(framed + noise, 1, 255).astype(np.uint8), 10.0)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_every_core_and_every_loss_is_carried_to_a_repeat_in_any_turn(
    confirmed: NamedScan, quarter_turns: int
) -> None:
    picture = laid_again(quarter_turns)
    found = carry_names(picture, confirmed, TmaSettings())
    assert found is not None
    assert found.grid.orientation == list(Orientation)[quarter_turns]
    lost = {str(core.name) for core in found.cores if core.status is CoreStatus.MISSING}
    assert lost == SLIDE.missing
    assert {c.source for c in found.cores if c.status.has_tissue} == {PlaceSource.TEMPLATE}
    scan = NamedScan(picture=picture, cores=found.cores, grid=found.grid)
    assert recognise(scan, confirmed).is_proven


def test_another_slide_is_given_no_names(confirmed: NamedScan) -> None:
    other = ToySlide(rows=3, columns=4, seed=9)
    assert carry_names(other.picture(), confirmed, TmaSettings()) is None


def test_names_do_not_slip_where_the_repeat_lacks_further_cores(confirmed: NamedScan) -> None:
    rgb = laid_again(2).read_level(0).copy()
    core = next(core for core in confirmed.cores if core.name == CoreName(2, 0))
    rows, columns = SLIDE.picture().size_px
    x, y = columns - 1 - core.x_px + 8, rows - 1 - core.y_px + 31
    reach = int(0.7 * core.diameter_px)
    rgb[int(y) - reach : int(y) + reach, int(x) - reach : int(x) + reach] = 238, 236, 229
    carried = carry_names(PlainPicture(rgb, 10.0), confirmed, TmaSettings())
    assert carried is not None
    lost = {str(core.name) for core in carried.cores if core.status is CoreStatus.MISSING}
    assert lost == {*SLIDE.missing, "C1"}

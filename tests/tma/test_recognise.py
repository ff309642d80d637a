import numpy as np
import pytest

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.tma.find import find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture
from blurryscope.tma.recognise import NamedScan, recognise
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide

SLIDE = ToySlide(rows=3, columns=4, missing=frozenset({"B2"}), tilt_deg=1.0)


def named(picture: PlainPicture, slide_map: SlideMap, orientation: Orientation) -> NamedScan:
    found = find_cores(picture, slide_map, TmaSettings(orientation=orientation))
    return NamedScan(picture=picture, cores=found.cores, grid=found.grid)


def turned(picture: PlainPicture, quarter_turns: int) -> PlainPicture:
    """The same slide, laid in turned clockwise."""
    rgb = np.rot90(picture.read_level(0), -quarter_turns)
    return PlainPicture(np.ascontiguousarray(rgb), picture.pixel_size_um)


@pytest.fixture(scope="module")
def first() -> NamedScan:
    return named(SLIDE.picture(), SLIDE.map(), Orientation.AS_SCANNED)


@pytest.mark.parametrize(
    "orientation", [turn for turn in Orientation if not turn.is_mirrored], ids=str
)
def test_cores_are_recognised_in_the_turn_in_which_they_lie(
    orientation: Orientation, first: NamedScan
) -> None:
    picture = turned(SLIDE.picture(), orientation.quarter_turns)
    recognition = recognise(named(picture, SLIDE.map(), orientation), first)
    assert recognition.recognised_count == recognition.compared_count == 11
    assert recognition.is_proven


def test_cores_named_the_wrong_way_round_are_not_recognised(first: NamedScan) -> None:
    picture = turned(SLIDE.picture(), 2)
    recognition = recognise(named(picture, SLIDE.map(), Orientation.AS_SCANNED), first)
    assert recognition.recognised_count <= 3
    assert not recognition.is_proven


def test_cores_of_another_slide_are_not_recognised(first: NamedScan) -> None:
    other = ToySlide(rows=3, columns=4, seed=5)
    recognition = recognise(named(other.picture(), other.map(), Orientation.AS_SCANNED), first)
    assert not recognition.is_proven


def test_two_scans_without_a_common_core_prove_nothing(first: NamedScan) -> None:
    bare = NamedScan(picture=first.picture, cores=(), grid=first.grid)
    assert not recognise(bare, first).is_proven
